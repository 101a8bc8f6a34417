"""Environments: phone, web pages, Android over adb; their tasks; the evaluation harness. No model is known here."""
