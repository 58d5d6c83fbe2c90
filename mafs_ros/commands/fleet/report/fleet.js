// Sorts the table by the heading that is clicked, and shows the lines that fit the filters.
"use strict";
const table = document.getElementById("drives");
const body = table.tBodies[0];
const lines = Array.from(body.rows);
const filters = Array.from(document.querySelectorAll("[data-filter]"));
const count = document.getElementById("count");

function value(line, column) {
  const text = line.cells[column].dataset.value;
  return text === "" ? null : table.tHead.rows[0].cells[column].dataset.kind === "number"
    ? Number(text) : text;
}

function sort(column, ascending) {
  lines.sort((a, b) => {
    const x = value(a, column), y = value(b, column);
    if (x === null || y === null) return (x === null) - (y === null); // what is not known is last
    return (x < y ? -1 : x > y ? 1 : 0) * (ascending ? 1 : -1);
  });
  lines.forEach((line) => body.appendChild(line));
}

function filter() {
  let shown = 0;
  lines.forEach((line) => {
    const fits = filters.every((one) => {
      const wanted = one.value.toLowerCase();
      const there = one.dataset.filter === "text"
        ? line.textContent.toLowerCase() : line.dataset[one.dataset.filter];
      return one.dataset.filter === "text" ? there.includes(wanted)
        : wanted === "" || there === wanted;
    });
    line.hidden = !fits;
    shown += fits;
  });
  count.textContent = shown + " of " + lines.length + " shown";
}

Array.from(table.tHead.rows[0].cells).forEach((cell, column) => {
  cell.querySelector("button").addEventListener("click", () => {
    const ascending = cell.getAttribute("aria-sort") !== "ascending";
    Array.from(table.tHead.rows[0].cells).forEach((other) => other.removeAttribute("aria-sort"));
    cell.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    sort(column, ascending);
  });
});
filters.forEach((one) => one.addEventListener("input", filter));
filter();
