// Two images, one over the other; a range input, or a drag on the images, says how much of each is seen.
const duel = (left, right, names) => {
  const box = document.createElement("div"), stack = document.createElement("div"), range = document.createElement("input");
  box.className = "duel";
  stack.className = "stack";
  right.classList.add("over");
  stack.append(left, right);
  range.type = "range";
  range.min = 0;
  range.max = 100;
  range.value = 50;
  range.setAttribute("aria-label", `Show more of ${names[0]} or of ${names[1]}`);
  const apply = () => {
    stack.style.setProperty("--cut", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${range.value} % ${names[0]}, ${100 - range.value} % ${names[1]}`);
  };
  range.addEventListener("input", apply);
  const drag = event => {
    if (event.type === "pointermove" && !(event.buttons & 1)) return;
    const place = stack.getBoundingClientRect();
    range.value = Math.round(100 * (event.clientX - place.left) / place.width);
    apply();
  };
  stack.addEventListener("pointerdown", drag);
  stack.addEventListener("pointermove", drag);
  apply();
  box.append(stack, range);
  return box;
};
