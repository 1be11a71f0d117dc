// Which columns of a preview are in sight, and how wide each is.

export const TICK_WIDTH = 36;
const ID_WIDTH = 190, NARROW_ID_WIDTH = 130, NARROW_PX = 720, MOST_STRETCH = 1.7;
const WIDEST = 320, NARROWEST = 96, NARROWEST_FIELD = 148, LETTER = 7.2, HEAD_LETTER = 7.4;

/** Return the columns of `plan` in `box`: what is hidden, pinned and how wide is theirs to know. */
export function makeColumns(plan, box) {
  const hidden = new Set(), widths = new Map();
  let pinned = [], stretch = 1;
  for (const { name, letters, is_field: isField } of plan.columns) {
    const wanted = Math.max(isField ? NARROWEST_FIELD : NARROWEST, name.length * HEAD_LETTER + 44, letters * LETTER + 24);
    widths.set(name, Math.round(Math.min(WIDEST, wanted)));
  }
  const byName = (name) => plan.columns.find((column) => column.name === name);
  const fixed = () => pinned.filter((name) => !hidden.has(name)).map(byName);
  const shown = () => [...fixed(), ...plan.columns.filter((column) => !hidden.has(column.name) && !pinned.includes(column.name))];
  const idWidth = () => (box.closest(".ps").clientWidth <= NARROW_PX ? NARROW_ID_WIDTH : ID_WIDTH);
  const widthOf = (column) => Math.round(widths.get(column.name) * stretch);
  const sum = (columns) => columns.reduce((total, column) => total + widthOf(column), 0);
  const layout = () => {
    const all = shown(), own = all.reduce((total, column) => total + widths.get(column.name), 0);
    stretch = Math.min(MOST_STRETCH, Math.max(1, (box.clientWidth - TICK_WIDTH - idWidth() - all.length) / own));
    const first = fixed(), moving = all.slice(first.length);
    const left = TICK_WIDTH + idWidth() + sum(first), sight = Math.max(200, box.clientWidth - left);
    const starts = moving.map((_, at) => sum(moving.slice(0, at)));
    const from = Math.max(0, starts.findLastIndex((start) => start <= box.scrollLeft));
    const to = starts.filter((start) => start < box.scrollLeft + sight).length;
    return { pinned: first, moving: moving.slice(from, to), skipped: from, before: starts[from] ?? 0, width: left + sum(moving), n: all.length };
  };
  return {
    byName, widthOf, idWidth, layout, hidden,
    isPinned: (name) => pinned.includes(name),
    pin: (name) => { pinned = pinned.includes(name) ? pinned.filter((one) => one !== name) : [...pinned, name]; },
    widen: (name, by) => widths.set(name, Math.max(60, Math.min(640, widthOf(byName(name)) + by))),
    /** Scroll sideways until the column of that number is in sight. */
    reveal(number) {
      const all = shown(), first = fixed(), at = number - 2;
      if (at < first.length || at >= all.length) return;
      const start = sum(all.slice(first.length, at)), end = start + widthOf(all[at]);
      const sight = box.clientWidth - TICK_WIDTH - idWidth() - sum(first);
      if (start < box.scrollLeft) box.scrollLeft = start;
      else if (end > box.scrollLeft + sight) box.scrollLeft = end - sight;
    },
  };
}
