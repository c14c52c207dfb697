// See scripts/pictures. Arguments: light or dark, and the command to show. Takes what a terminal received, gives its last
// picture as SVG. Knows the few sequences that the demo writes: colours, cursor up, erase.
import {readFileSync} from 'node:fs';

const [scheme, command] = process.argv.slice(2);
const palette = {
  light: {back: '#f6f8fa', text: '#1f2328', dim: '#656d76', 31: '#cf222e', 32: '#1a7f37', 33: '#9a6700', 35: '#8250df', 36: '#0969da'},
  dark: {back: '#0d1117', text: '#e6edf3', dim: '#8d96a0', 31: '#ff7b72', 32: '#3fb950', 33: '#d29922', 35: '#bc8cff', 36: '#58a6ff'},
}[scheme];

const plain = {colour: 'text', bold: false};
const lines = [[]];
let row = 0;
let column = 0;
let style = plain;

function sgr(codes) {
  for (const code of codes.split(';')) {
    if (code === '' || code === '0') style = plain;
    else if (code === '1') style = {...style, bold: true};
    else if (code === '2') style = {...style, colour: 'dim'};
    else if (code in palette) style = {...style, colour: code};
  }
}

function erase(from) {
  lines[row].length = Math.min(lines[row].length, from);
}

// `script` writes a line of its own at the start and at the end.
const received = readFileSync(0, 'utf8').replace(/^Script started[^\n]*\n/, '').replace(/\nScript done[^\n]*\n?$/, '\n');
for (const [, parameters, final, char] of received.matchAll(/\x1b\[([0-9;?]*)([A-Za-z])|([^\x1b])/gu)) {
  if (char === '\n') {
    row += 1;
    column = 0;
    lines[row] ??= [];
  } else if (char === '\r') {
    column = 0;
  } else if (char !== undefined) {
    lines[row][column] = {char, style};
    column += 1;
  } else if (final === 'm') {
    sgr(parameters);
  } else if (final === 'A') {
    row = Math.max(0, row - Number(parameters || 1));
  } else if (final === 'K') {
    erase(column);
  } else if (final === 'J') {
    erase(column);
    lines.length = row + 1;
  }
}

const cells = (text, style) => [...text].map((char) => ({char, style}));
const shown = [cells(`$ ${command}`, {...plain, bold: true}), ...lines];
while (shown.at(-1).length === 0) shown.pop();

const [width, height, margin] = [8.4, 18, 16];
const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const round = (number) => Math.round(number * 10) / 10;
const drawn = shown.map((line, index) => {
  const runs = [];
  for (let at = 0; at < line.length; at += 1) {
    const {char, style} = line[at] ?? {char: ' ', style: plain};
    const last = runs.at(-1);
    if (last && last.style.colour === style.colour && last.style.bold === style.bold) last.text += char;
    else runs.push({at, style, text: char});
  }
  const y = margin + height * (index + 1) - 5;
  // Word by word: renderers differ in what they do with spaces.
  const words = runs.flatMap(({at, style, text}) =>
    [...text.matchAll(/\S+/gu)].map((word) => ({at: at + [...text.slice(0, word.index)].length, style, text: word[0]})));
  return words.map(({at, style, text}) =>
    `<text x="${round(margin + at * width)}" y="${y}" textLength="${round([...text].length * width)}" fill="${palette[style.colour]}"` +
    `${style.bold ? ' font-weight="bold"' : ''}>${escape(text)}</text>`).join('');
});
const size = {width: round(80 * width + 2 * margin), height: shown.length * height + 2 * margin};
console.log(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" width="${size.width}" height="${size.height}" role="img">
<title>A terminal: ${escape(command)}</title>
<rect width="100%" height="100%" rx="8" fill="${palette.back}"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">
${drawn.filter(Boolean).join('\n')}
</g>
</svg>`);
