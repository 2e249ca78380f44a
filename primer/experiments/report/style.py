"""The style sheet of the page: readable at 360 pixels, on a wide screen, and printed."""

CSS = """
:root { color-scheme: light; }
html { font-size: 16px; }
body { font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #1a1a1a;
  background: #fff; margin: 0 auto; max-width: 72rem; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-top: 1px solid #ccc; padding-top: 1rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, li { max-width: 44rem; }
ul { padding-left: 1.2rem; }
.note { font-size: .9rem; color: #444; }
.box { overflow-x: auto; border: 1px solid #ddd; border-radius: 4px; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .5rem; text-align: right; white-space: nowrap; overflow-wrap: normal;
  border-bottom: 1px solid #eee; }
th { background: #f4f4f4; vertical-align: bottom; white-space: normal; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff;
  min-width: 7rem; max-width: 11rem; white-space: normal; overflow-wrap: break-word; }
th:first-child { background: #f4f4f4; }
td.words, th.words { text-align: left; }
.sideways { display: none; }
@media screen and (max-width: 60rem) { .sideways { display: block; } }
@media screen and (max-width: 30rem) { th:first-child, td:first-child { max-width: 7rem; } }
td.value { min-width: 6rem; max-width: 22rem; white-space: normal; overflow-wrap: break-word;
  font-family: monospace; text-align: left; }
td.better, td.worse { font-weight: 600; }
td.better { color: #0a5a8a; } td.worse { color: #a34700; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
  gap: 1rem; margin-top: 1rem; }
figure { margin: 0; break-inside: avoid; }
figure img { width: 100%; max-width: 34rem; height: auto; }
figcaption { font-size: .85rem; color: #444; }
code { font-size: .85em; }
@media print {
  html { font-size: 10pt; }
  body { max-width: none; padding: 0; }
  .box { overflow: visible; border: 0; }
  table { font-size: 6.5pt; } th, td { padding: .15rem .25rem; white-space: normal; }
  th:first-child, td:first-child { position: static; }
  tr, li { break-inside: avoid; } h2, h3 { break-after: avoid; }
}
"""
