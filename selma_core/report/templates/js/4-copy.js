// A button on each text worth taking along. Where the clipboard is closed the text is selected instead.
(() => {
  const select = target => {
    const range = document.createRange();
    range.selectNodeContents(target);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  };
  for (const target of document.querySelectorAll("pre[data-copy]")) {
    const bar = document.createElement("p"), button = document.createElement("button"), said = document.createElement("span");
    bar.className = "copy";
    button.type = "button";
    button.textContent = `Copy ${target.dataset.copy}`;
    said.setAttribute("role", "status");
    said.className = "soft small";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(target.textContent);
        said.textContent = "copied";
      } catch {
        select(target);
        said.textContent = "selected: copy it with Ctrl+C";
      }
    });
    bar.append(button, said);
    target.after(bar);
  }
})();
