"""Deep Dive: values that are read have to be added, compared or ranked before the next subtask."""

from collections.abc import Callable

from homeostat.envs.phone.tasks.base import World
from homeostat.envs.phone.tasks.composed.core import Compute, Subtask, deepdive

__all__ = ["TEMPLATES"]


def _dollars(low: int, high: int) -> Callable[[World], str]:
    return lambda w: f"${w.rng.randrange(low, high, 10)}"


TEMPLATES = (
    deepdive(
        "dive_sum_expenses_budget",
        {
            "a": Subtask("expenses_read_amount"),
            "b": Subtask("expenses_read_amount"),
            "c": Subtask("expenses_budget", {"new": "#sum"}),
            "d": Subtask("notes_add", {"text": "#sum"}),
        },
        {"sum": Compute("sum", ("a", "b"))},
        "add up the expenses {a.name} and {b.name}, set the budget to the sum, and write the sum into a note {d.title}",
        "how much are the expenses {a.name} and {b.name} together? that is the new budget, and a note {d.title} should say it",
        "look up the amounts of {a.name} and {b.name} in expenses. their sum becomes the budget. then make a note {d.title} with the sum",
        "the budget should be what {a.name} and {b.name} cost together; work it out, enter it, and keep it in a note {d.title}",
        "take the amount of the expense {a.name} plus that of the expense {b.name} as the budget and as the text of a new note {d.title}",
    ),
    deepdive(
        "dive_cheaper_product",
        {
            "a": Subtask("shop_read_price"),
            "b": Subtask("shop_read_price"),
            "c": Subtask("shop_add", same={"name": "#cheap"}),
            "d": Subtask("expenses_add", {"name": "#cheap", "amount": "#price"}),
        },
        {
            "cheap": Compute("name of the smallest", ("a", "a.name", "b", "b.name")),
            "price": Compute("smallest", ("a", "b")),
        },
        "compare the prices of {a.name} and {b.name}, put the cheaper one into the cart and add it to expenses with its price",
        "which is cheaper in the shop, {a.name} or {b.name}? add that one to my cart and write it with its price into expenses",
        "look up what {a.name} and {b.name} cost. buy the cheaper: into the cart with it, and an expense of its name and price",
        "of {a.name} and {b.name} i want the one that costs less. place it in the cart, then enter an expense with its name and price",
        "check both prices, {a.name} and {b.name}; the lower one decides what goes into the cart and into expenses under its name",
    ),
    deepdive(
        "dive_earliest_event_alarm",
        {
            "a": Subtask("calendar_read_time"),
            "b": Subtask("calendar_read_time"),
            "c": Subtask("calendar_read_time"),
            "d": Subtask("clock_add_alarm", {"time": "#early", "label": "#title"}),
        },
        {
            "early": Compute("smallest", ("a", "b", "c")),
            "title": Compute("name of the smallest", ("a", "a.title", "b", "b.title", "c", "c.title")),
        },
        "which of {a.title}, {b.title} and {c.title} is earliest in the day? set an alarm for its time, labelled with its name",
        "look up the times of {a.title}, {b.title} and {c.title}. the alarm should ring at the earliest of them and bear that event's name",
        "find the earliest time among the events {a.title}, {b.title} and {c.title}, and add an alarm for it with the title as the label",
        "compare when {a.title}, {b.title} and {c.title} begin; make an alarm for the first one, its name as the label",
        "set an alarm for whichever of {a.title}, {b.title} or {c.title} has the earliest time, and label it with that title",
    ),
    deepdive(
        "dive_total_against_limit",
        {
            "a": Subtask("expenses_read_total"),
            "b": Subtask("messages_compose", {"text": "=too much"}, when="over"),
            "c": Subtask("messages_compose", {"text": "=all good"}, when="not over"),
            "d": Subtask("expenses_budget"),
        },
        {"over": Compute("above", ("a", "limit"))},
        "see what was spent on {a.kind}: above {limit} start a chat with {b.name} saying too much, otherwise start a chat with {c.name} saying all good. then set the budget to {d.new}",
        "if the total of {a.kind} in expenses is above {limit} write too much to {b.name} in a new chat, if not write all good to {c.name} in a new chat; the budget becomes {d.new}",
        "compare the total spent on {a.kind} with {limit}. more: tell {b.name} too much. not more: tell {c.name} all good. use a new chat. at last make the budget {d.new}",
        "how much did {a.kind} cost in total? over {limit} means a new chat to {b.name} with too much, else a new chat to {c.name} with all good. budget after that: {d.new}",
        "check whether {a.kind} cost more than {limit}. yes: new chat, {b.name}, too much. no: new chat, {c.name}, all good. and change the budget to {d.new}",
        limit=_dollars(50, 300),
    ),
    deepdive(
        "dive_longer_recipe_timer",
        {
            "a": Subtask("recipes_read_minutes"),
            "b": Subtask("recipes_read_minutes"),
            "c": Subtask("clock_timer", {"minutes": "#long"}),
            "d": Subtask("notes_add", {"title": "#name", "text": "=cook this"}),
        },
        {
            "long": Compute("largest", ("a", "b")),
            "name": Compute("name of the largest", ("a", "a.name", "b", "b.name")),
        },
        "which recipe takes longer, {a.name} or {b.name}? start a timer with its minutes and add a note with its name that says cook this",
        "look up the minutes of the recipes {a.name} and {b.name}; run the timer for the longer one and note it by name with the text cook this",
        "compare the recipes {a.name} and {b.name}: the timer gets the minutes of the longer one, a new note gets its name as title and cook this as text",
        "i cook the slower of the recipes {a.name} and {b.name}. start a timer as long as it takes; make a note called like it saying cook this",
        "find out whether the recipe {a.name} or the recipe {b.name} takes more minutes, set the timer to those and start it, and create a note of that name: cook this",
    ),
    deepdive(
        "dive_recipes_in_a_row",
        {
            "a": Subtask("recipes_read_minutes"),
            "b": Subtask("recipes_read_minutes"),
            "c": Subtask("clock_timer", {"minutes": "#sum"}),
            "d": Subtask("recipes_star", same={"name": "a.name"}),
        },
        {"sum": Compute("sum", ("a", "b"))},
        "i cook {a.name} and then {b.name}: start a timer for both recipes together, and star the recipe {a.name}",
        "add up the minutes of the recipes {a.name} and {b.name}, start a timer of the sum, then give the recipe {a.name} a star",
        "how long do the recipes {a.name} and {b.name} take in all? run a timer of that many minutes and mark {a.name} with a star",
        "the timer should run as long as the recipes {a.name} and {b.name} one after the other; after that star the recipe {a.name}",
        "take the minutes of {a.name} plus the minutes of {b.name} from recipes, set the timer to them and start it, then a star for the recipe {a.name}",
    ),
    deepdive(
        "dive_bigger_file_goes",
        {
            "a": Subtask("files_read_size"),
            "b": Subtask("files_read_size"),
            "c": Subtask("files_delete", same={"name": "#big"}),
            "d": Subtask("notes_add", {"text": "#size"}),
        },
        {"big": Compute("name of the largest", ("a", "a.name", "b", "b.name")), "size": Compute("largest", ("a", "b"))},
        "delete the bigger of the files {a.name} and {b.name}, and write its size into a note {d.title}",
        "compare the sizes of {a.name} and {b.name} in files; the larger file goes, its size stays in a note {d.title}",
        "which file is bigger, {a.name} or {b.name}? remove that one, then make a note {d.title} that says how big it was",
        "look up how big the files {a.name} and {b.name} are. erase the larger one. keep the size of it in a new note {d.title}",
        "to save space get rid of {a.name} or {b.name} in files, whichever is larger, and note its size under {d.title}",
    ),
    deepdive(
        "dive_both_files_size",
        {
            "a": Subtask("files_read_size"),
            "b": Subtask("files_read_size"),
            "c": Subtask("files_read_size"),
            "d": Subtask("messages_compose", {"text": "#sum"}),
        },
        {"sum": Compute("sum", ("a", "b", "c"))},
        "how big are the files {a.name}, {b.name} and {c.name} together? send the sum to {d.name} in a new chat",
        "add up the sizes of {a.name}, {b.name} and {c.name} in files and write the result, in kb, to {d.name} in a new chat",
        "{d.name} asks for the size of {a.name}, {b.name} and {c.name} in all: look the three files up, add them, answer in a new chat",
        "work out the size of the three files {a.name}, {b.name} and {c.name} together, then start a chat with {d.name} saying it",
        "take the sizes of the files {a.name}, {b.name} and {c.name}, sum them up, and tell {d.name} the sum in a new chat",
    ),
    deepdive(
        "dive_price_difference",
        {
            "a": Subtask("shop_read_price"),
            "b": Subtask("shop_read_price"),
            "c": Subtask("notes_add", {"text": "#gap"}),
            "d": Subtask("shop_add", same={"name": "#dear"}),
        },
        {
            "gap": Compute("difference", ("a", "b")),
            "dear": Compute("name of the largest", ("a", "a.name", "b", "b.name")),
        },
        "write the difference between the prices of {a.name} and {b.name} into a note {c.title}, and put the dearer one into the cart",
        "by how much do {a.name} and {b.name} differ in price? keep that in a note {c.title}; then add the more expensive one to my cart",
        "look up what {a.name} and {b.name} cost, note the difference under {c.title}, and place the one that costs more in the cart",
        "compare the prices of {a.name} and {b.name}: the difference is the text of a new note {c.title}, the dearer goes into the cart",
        "check the two prices, {a.name} and {b.name}. make a note {c.title} saying the difference. buy the expensive one, into the cart with it",
    ),
    deepdive(
        "dive_within_budget",
        {
            "a": Subtask("expenses_read_budget"),
            "b": Subtask("shop_read_price"),
            "c": Subtask("shop_add", same={"name": "b.name"}, when="fits"),
            "d": Subtask("tasks_add", {"title": "=save money"}, when="not fits"),
            "e": Subtask("notes_add"),
        },
        {"fits": Compute("below", ("b", "a"))},
        "if {b.name} costs less than my budget put it into the cart, if not add a task save money. then write a note {e.title} saying {e.text}",
        "compare the price of {b.name} with the budget in expenses: below it, into the cart; otherwise a task save money. after that the note {e.title}: {e.text}",
        "look up my budget and what {b.name} costs. when the budget is larger add {b.name} to the cart, else make the task save money; at last create a note {e.title} with {e.text}",
        "can i afford {b.name}? that is, does it cost less than the budget? yes: cart. no: task save money. and note {e.text} under {e.title}",
        "buy {b.name} (cart) only if its price is below the budget, otherwise put save money on the task list; finish with a note {e.title} that says {e.text}",
    ),
)
