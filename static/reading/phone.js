// Helps to carry the personal link to a computer: selects it, and copies it where the browser can.

const link = document.getElementById("link");
const copy = document.getElementById("copy");
const copied = document.getElementById("copied");

link.addEventListener("focus", () => link.select());
link.select();

copy.hidden = !navigator.clipboard;
copy.addEventListener("click", async () => {
  await navigator.clipboard.writeText(link.value);
  copied.textContent = copied.dataset.text;
});
