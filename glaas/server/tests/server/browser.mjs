// Uses the server's pages as people do, in a browser, and says what is wrong with them: nothing.
// node browser.mjs TOOLS BASE ARTIFACT SESSION JOB COMMAND OWN KEY NEW-KEY [PICTURES]

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const [tools, base, artifact, session, job, command, own, key, newKey, pictures] =
  process.argv.slice(2);
const { chromium } = await import(`${tools}/playwright-core/index.mjs`);
const axe = readFileSync(`${tools}/axe-core/axe.min.js`, "utf8");
const wrong = [];

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});

// A page that tells of everything that must not happen.
async function watched(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("dialog", (dialog) => {
    wrong.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("pageerror", (error) => wrong.push(`an error at ${page.url()}: ${error}`));
  page.on("console", (line) => {
    // A page that is not there is told on the console, too.
    if (line.type() === "error" && !line.text().includes("404")) {
      wrong.push(`${page.url()}: ${line.text()}`);
    }
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(base)) wrong.push(`asks elsewhere: ${request.url()}`);
  });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      window.violations.push(`${event.violatedDirective}: ${event.sample}`);
    });
  });
  return page;
}

const pages = {
  home: "/",
  jobs: "/jobs",
  artifacts: "/artifacts",
  sessions: "/sessions",
  artifact: `/artifact/${artifact}`,
  session: `/dag/${session}`,
  job: `/job/${session}/${job}`,
  keys: "/keys",
  signin: "/signin",
  none: "/nothing",
};

for (const [scheme, width] of [["light", 1280], ["dark", 390]]) {
  const options = { viewport: { width, height: 900 }, colorScheme: scheme };
  const page = await watched(options);
  // axe is a script that the pages' own policy does not let in.
  const judged = await watched({ ...options, bypassCSP: true });
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(base + path);
    const state = await page.evaluate(() => ({
      violations: window.violations,
      hit: document.title === "hit" || window.hit === true,
      wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    }));
    assert.deepEqual(state, { violations: [], hit: false, wide: 0 }, `${path} at ${width}`);
    if (pictures) {
      await page.screenshot({ path: `${pictures}/${name}-${scheme}-${width}.png`, fullPage: true });
    }
    await judged.goto(base + path);
    await judged.evaluate(axe);
    const { violations } = await judged.evaluate(() => window.axe.run());
    for (const { id, impact, nodes } of violations) {
      if (["serious", "critical"].includes(impact)) {
        wrong.push(`${path}, ${scheme}: ${id}: ${nodes.map((node) => node.html).join(" | ")}`);
      }
    }
  }
}

// Search, open, expand, copy.
const page = await watched({ viewport: { width: 1280, height: 900 } });
await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: base });
await page.goto(base);
await page.keyboard.type(artifact.slice(0, 12));
await page.keyboard.press("Enter");
await page.waitForURL(`**/artifact/${artifact}`);
await page.click("button[data-copy]");
await page.waitForFunction(() => document.getElementById("reproduce-said").textContent === "Copied");
assert.equal(await page.evaluate(() => navigator.clipboard.readText()), command);
await page.goto(`${base}/artifact/${artifact}?depth=1`);
assert.equal(await page.locator(".picture .box").count(), 1);
assert.match(await page.textContent("p.note strong"), /^\d+ hidden$/);
await page.click("text=Show more");
assert.equal(await page.locator(".picture .box").count(), 2);
await page.goto(base);
await page.fill("input[name=q]", "step7");
await page.click("form.search button");
await page.click("tbody a");
assert.match(await page.textContent("h1"), /step7/);
// By keyboard: the first stop skips to the content.
await page.goto(`${base}/jobs`);
await page.keyboard.press("Tab");
assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");

// Without JavaScript all is there to read, and no button that does nothing.
const still = await watched({ javaScriptEnabled: false });
await still.goto(`${base}/artifact/${artifact}`);
assert.equal(await still.textContent("#reproduce"), command);
assert.equal(await still.locator("button[data-copy]").isVisible(), false);
assert.ok((await still.locator(".picture .box").count()) > 1);

// Who registers a key on its page signs in with it, and out.
async function signIn(page, file) {
  await page.goto(`${base}/signin`);
  const line = await page.inputValue("input[name=challenge]");
  const sign = ["-Y", "sign", "-n", "glaas", "-f", file];
  const signature = execFileSync("ssh-keygen", sign, { input: line, stdio: ["pipe", "pipe", "ignore"] });
  await page.fill("textarea[name=signature]", signature.toString());
  await page.click("main button:text('Sign in')");
  await page.waitForURL("**/sessions");
}
const newcomer = await watched({});
await newcomer.goto(`${base}/keys`);
await newcomer.fill("input[name=user]", "newcomer");
await newcomer.fill("textarea[name=public_key]", readFileSync(`${newKey}.pub`, "utf8"));
await newcomer.click("button:text('Register')");
await newcomer.locator("[role=status]", { hasText: "belongs to newcomer" }).waitFor();
await signIn(newcomer, newKey);
await newcomer.click("button:text('Sign out')");
await newcomer.locator("a:text('Sign in')").waitFor();

// A session's owner publishes it and takes it back, without JavaScript too.
for (const javaScriptEnabled of [true, false]) {
  const owner = await watched({ javaScriptEnabled });
  await signIn(owner, key);
  await owner.goto(`${base}/dag/${own}`);
  for (const [button, then] of [["Publish it", "public"], ["Make it private", "private"]]) {
    await owner.locator("summary", { hasText: "this session" }).click();
    await owner.locator("button", { hasText: button }).click();
    await owner.locator(".badges", { hasText: then }).waitFor();
    const seen = await still.goto(`${base}/dag/${own}`);
    assert.equal(seen.status(), then === "public" ? 200 : 404);
  }
}

await browser.close();
assert.deepEqual(wrong, []);
