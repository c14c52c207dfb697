// See scripts/check-page. Arguments: the demo's program, Chromium's, and the folder for the pictures.
import {execFileSync, spawn} from 'node:child_process';
import {createServer} from 'node:net';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';

const require = createRequire(import.meta.url);
const {chromium} = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const [demo, browserPath, out] = process.argv.slice(2);
const failures = [];
const say = (text) => console.log(`check-page: ${text}`);
const expect = (what, holds) => {
  say(`${holds ? 'ok' : 'FAILED'}: ${what}`);
  if (!holds) failures.push(what);
};
const children = new Set();

/** A port with five free ones above it, below those that outgoing connections take. */
async function port() {
  const isFree = (port) => new Promise((told) => {
    const server = createServer().once('error', () => told(false));
    server.listen(port, '127.0.0.1', () => server.close(() => told(true)));
  });
  for (;;) {
    const first = 20000 + Math.floor(Math.random() * 12000);
    const free = await Promise.all([1, 2, 3, 4, 5].map((above) => isFree(first + above)));
    if (free.every(Boolean)) return first;
  }
}

function start(port, options) {
  const child = spawn(demo, ['--plain', '--nodes', '5', '--metrics', `${port}`, ...options], {stdio: ['ignore', 'pipe', 'inherit']});
  child.lines = '';
  child.stdout.on('data', (data) => (child.lines += data));
  children.add(child);
  child.ended = new Promise((ended) => child.once('exit', ended)).then(() => children.delete(child));
  return child;
}

async function until(what, condition, seconds = 120) {
  const limit = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > limit) throw new Error(`no sign of ${what}`);
    await new Promise((after) => setTimeout(after, 200));
  }
}

async function stop(child) {
  child.kill('SIGTERM');
  await child.ended;
}

const profile = mkdtempSync(join(tmpdir(), 'check-page-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: browserPath,
  headless: true,
  bypassCSP: false,
  viewport: {width: 1280, height: 900},
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

/** Pictures of the page as it is, and what axe finds. */
async function judge(page, name) {
  for (const width of [1280, 390]) {
    for (const scheme of ['light', 'dark']) {
      await page.setViewportSize({width, height: width === 390 ? 844 : 900});
      await page.emulateMedia({colorScheme: scheme});
      await page.screenshot({path: join(out, `${name}-${width}-${scheme}.png`), fullPage: true});
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(`${name} at ${width} px does not scroll sideways`, overflow <= 0);
      // Through the debugging protocol, which the page's own policy does not concern.
      await page.evaluate(axe);
      const found = await page.evaluate(() => globalThis.axe.run());
      const serious = found.violations.filter(({impact}) => impact === 'serious' || impact === 'critical');
      for (const {id, impact, help, nodes} of found.violations) {
        say(`axe: ${name} ${width} ${scheme}: ${impact} ${id}: ${help}: ${nodes[0].html.slice(0, 120)}`);
      }
      expect(`${name} ${width} ${scheme}: axe passed ${found.passes.length} rules, ${found.violations.length} violations`,
        serious.length === 0);
    }
  }
}

async function open(address) {
  const page = await browser.newPage();
  page.on('console', (message) => message.type() === 'error' && !/ERR_CONNECTION/.test(message.text()) &&
    expect(`no error in the console: ${message.text()}`, false));
  page.on('request', (request) => !request.url().startsWith(address) && !request.url().startsWith('data:') &&
    expect(`nobody else is asked: ${request.url()}`, false));
  await page.goto(address);
  return page;
}

/** The folder of a node's host, as its kill switch tells. */
async function folder(address) {
  const {node} = await fetch(`${address}status.json`).then((it) => it.json());
  return dirname(node.gates.find(({gate}) => gate === 'kill switch').text.split(' ')[0]);
}

/** What the page says in one sentence. */
const headline = (page) => page.locator('#headline').innerText();

try {
  let first = await port();
  say('idle, and one node after the other');
  let fleet = start(first, ['--idle-sec', '25', '--boot-sec', '1']);
  await until('idle nodes', async () => {
    const answer = await fetch(`http://127.0.0.1:${first + 3}/status.json`).then((it) => it.json()).catch(() => null);
    return answer?.cluster?.members.length === 5 && answer.cluster.members.every(({healthy}) => healthy);
  });
  let page = await open(`http://127.0.0.1:${first + 3}/`);
  expect(`idle: ${await headline(page)}`, /Nothing to do/.test(await headline(page)));
  await judge(page, 'idle');
  await until('the end of a reboot without a reload', async () => /completed/.test(await page.locator('#recent').innerText()));
  expect('the page refreshes itself', true);
  await stop(fleet);
  await page.waitForSelector('#lost:not([hidden])');
  expect(`it says that its node is away: ${await page.locator('#lost').innerText()}`, true);
  await page.close();

  first = await port();
  say('one needs a reboot, and its kill switch is on');
  fleet = start(first, ['--idle-sec', '8', '--boot-sec', '3000']);
  await until('a node', () => fetch(`http://127.0.0.1:${first + 1}/healthz`).then(() => true).catch(() => false));
  writeFileSync(join(await folder(`http://127.0.0.1:${first + 1}/`), 'disable'), 'raid rebuild\n');
  page = await open(`http://127.0.0.1:${first + 1}/`);
  await until('the block', async () => /node-1 needs a reboot and is blocked: .*raid rebuild/.test(await page.locator('main').innerText()));
  await judge(page, 'blocked');
  await page.close();
  await stop(fleet);

  first = await port();
  say('one node reboots, the others wait');
  fleet = start(first, ['--boot-sec', '3000']);
  await until('a queue', () => /down/.test(fleet.lines));
  await until('four that wait', async () => {
    const answers = await Promise.all([1, 2, 3, 4, 5].map((node) =>
      fetch(`http://127.0.0.1:${first + node}/status.json`).then((it) => it.json()).catch(() => null)));
    return answers.some((it) => it?.cluster?.queue.length === 4 && it.cluster.holders[0]?.phase === 'rebooting');
  });
  const up = [];
  for (const node of [1, 2, 3, 4, 5]) {
    await fetch(`http://127.0.0.1:${first + node}/healthz`).then(() => up.push(node)).catch(() => {});
  }
  page = await open(`http://127.0.0.1:${first + up.at(-1)}/`);
  await until('the reboot', async () => /reboots; 4 nodes wait/.test(await headline(page)), 30);
  expect(`queue: ${await headline(page)}`, true);
  await judge(page, 'queue');

  say('it does not come back: after reboot_timeout_sec, a minute here, the line counts as stopped');
  await until('the stopped line', async () => /has not come back/.test(await headline(page)));
  expect(`stopped: ${await headline(page)}`, true);
  const advice = await page.locator('#advice').innerText();
  expect('it says what to type', /reboot-coordinator release node-\d --reason TEXT/.test(advice));
  await judge(page, 'stopped');
  say('somebody pauses the cluster, and forgets it');
  const config = join(await folder(page.url()), 'config.yaml');
  execFileSync(join(dirname(demo), 'reboot-coordinator'), ['pause', '--reason', 'racks are moved', '--config', config]);
  await until('the pause', async () => /resume/.test(await page.locator('#advice').innerText()));
  await judge(page, 'paused');
  page.removeAllListeners('console'); // The browser complains of what follows, as it should.
  const injected = await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'globalThis.injected = true';
    document.body.append(script);
    return globalThis.injected === true;
  });
  expect('a script that is not its own does not run', !injected);
  const size = (await (await fetch(page.url())).text()).length;
  expect(`the page has ${size} bytes`, size < 16 * 1024);
  await stop(fleet);
} catch (error) {
  expect(`${error}`, false);
} finally {
  for (const child of children) await stop(child);
  await browser.close();
  rmSync(profile, {recursive: true, force: true});
}
say(`pictures are in ${out}`);
say(failures.length ? `${failures.length} checks failed` : 'all good');
process.exit(failures.length ? 1 : 0);
