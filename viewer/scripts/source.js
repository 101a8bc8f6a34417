// Where a run's data come from: from the page itself (a report), or from the server that shows it live.

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

class EmbeddedSource {
  live = false;
  forks = null;

  async record() {
    return JSON.parse(byId("record").textContent);
  }

  screen(digest) {
    const held = document.querySelector(`script[data-screen="${CSS.escape(digest)}"]`);
    return held && `data:${held.dataset.mime};base64,${held.textContent}`;
  }

  async attention(name) {
    const held = document.querySelector(`script[data-attention="${CSS.escape(name)}"]`);
    return held && inflated(fromBase64(held.textContent));
  }
}

class ServedSource {
  #version = "";

  constructor(settings) {
    this.base = settings.base;
    this.forks = settings.forks;
    this.token = settings.token;
    this.live = true;
  }

  // The run's data; null where nothing has changed since the last call.
  async record() {
    const answer = await fetch(this.base, { headers: this.#version ? { "If-None-Match": this.#version } : {} });
    if (answer.status === 304) return null;
    if (!answer.ok) throw new Error((await answer.json()).error);
    this.#version = answer.headers.get("ETag") ?? "";
    return answer.json();
  }

  screen(digest) {
    return `${this.base}/screens/${encodeURIComponent(digest)}`;
  }

  async attention(name) {
    const answer = await fetch(`${this.base}/attention/${encodeURIComponent(name)}`);
    return answer.ok ? inflated(await answer.arrayBuffer()) : null;
  }

  async fork(wanted) {
    const answer = await fetch(`${this.base}/fork`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Homeostat-Token": this.token },
      body: JSON.stringify(wanted),
    });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
    return told;
  }
}
