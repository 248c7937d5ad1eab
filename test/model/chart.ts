import type { Second, World } from './overload.ts';

const width = 900;
const height = 360;
const margin = { left: 60, right: 20, top: 50, bottom: 40 };
const colours = ['#c0392b', '#d68910', '#2471a3', '#1e8449'];
/** About how wide a letter of the legend is. */
const letter = 6;

/** One curve. */
export interface Run {
  readonly name: string;
  readonly seconds: readonly Second[];
}

/** Goodput over time as an SVG that reads well on white and on black. */
export function chartOf(runs: readonly Run[], world: World): string {
  const most = Math.max(...runs.flatMap(({ seconds }) => seconds.map(({ calls }) => calls)));
  const top = Math.ceil(most / 500) * 500;
  const x = (second: number): number =>
    margin.left + (second / world.end) * (width - margin.left - margin.right);
  const y = (value: number): number =>
    height - margin.bottom - (value / top) * (height - margin.top - margin.bottom);
  const line = (values: readonly number[]): string =>
    values.map((value, second) => `${x(second).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
  const curve = (values: readonly number[], style: string): string =>
    `<polyline fill="none" ${style} points="${line(values)}"/>`;
  const text = (at: number, down: number, words: string, more = ''): string =>
    `<text x="${at.toFixed(1)}" y="${down.toFixed(1)}" ${more}>${words}</text>`;
  const shaded = `<rect x="${x(world.overloadFrom)}" y="${margin.top}" width="${x(world.overloadUntil) - x(world.overloadFrom)}" height="${height - margin.top - margin.bottom}" fill="#888" opacity="0.15"/>`;
  const ticks = [0, top / 2, top].map((value) =>
    text(margin.left - 8, y(value) + 4, String(value), 'text-anchor="end"'),
  );
  const times = [0, 30, 60, 90, 120, 150, 180].filter((second) => second <= world.end);
  const axis = times.map((second) =>
    text(x(second), height - margin.bottom + 18, `${second} s`, 'text-anchor="middle"'),
  );
  const calls = curve(
    runs[0]!.seconds.map((second) => second.calls),
    'stroke="#888" stroke-dasharray="3 3"',
  );
  const curves = runs.map(({ seconds }, i) =>
    curve(
      seconds.map(({ goodput }) => goodput),
      `stroke="${colours[i]}" stroke-width="2"`,
    ),
  );
  const legend = runs.map(({ name }, i) => {
    const before = runs.slice(0, i).reduce((sum, run) => sum + run.name.length * letter + 30, 0);
    return text(margin.left + 120 + before, 24, name, `style="fill:${colours[i]}"`);
  });
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#888">`,
    '<title>Calls that succeed each second, before, during and after an overload</title>',
    shaded,
    text(margin.left, 24, 'calls (dashed)'),
    ...legend,
    text(
      x((world.overloadFrom + world.overloadUntil) / 2),
      margin.top - 6,
      'overload',
      'text-anchor="middle"',
    ),
    ...ticks,
    ...axis,
    calls,
    ...curves,
    '</svg>',
  ].join('\n')}\n`;
}
