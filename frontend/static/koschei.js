/* Small comforts: the switch of light and dark, keys, and times that stay true. Everything works without. */
(function () {
  "use strict";
  var root = document.documentElement;

  var button = document.querySelector("[data-theme-switch]");
  if (button) {
    button.addEventListener("click", function () {
      var dark = root.dataset.theme
        ? root.dataset.theme === "dark"
        : window.matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      try { localStorage.setItem("theme", root.dataset.theme); } catch (error) { /* not remembered, then */ }
    });
  }

  var help = document.querySelector("[data-keys]");
  function showHelp() { if (help && !help.open) help.showModal(); }
  if (help) {
    document.querySelector("[data-keys-open]").addEventListener("click", showHelp);
    help.querySelector("[data-keys-close]").addEventListener("click", function () { help.close(); });
  }

  /* On a narrow screen the header's rows are longer than it: where one is must be in sight. */
  document.querySelectorAll(".top nav [aria-current]").forEach(function (link) {
    var row = link.closest("nav");
    row.scrollLeft = link.offsetLeft - row.offsetLeft - (row.clientWidth - link.offsetWidth) / 2;
  });

  var pending = false;
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || (help && help.open)) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable) return;
    if (event.key === "/") {
      var field = document.querySelector("[data-search]");
      if (field) { event.preventDefault(); field.focus(); field.select(); }
    } else if (event.key === "?") {
      showHelp();
    } else if (pending && /^[a-z]$/.test(event.key)) {
      var link = document.querySelector('[data-go="' + event.key + '"]');
      if (link) link.click();
    }
    pending = event.key === "g" && !pending;
  });

  /* The same words as frontend/filters.py. */
  var units = [[3600, 60, "minute"], [86400, 3600, "hour"], [30 * 86400, 86400, "day"],
    [365 * 86400, 30 * 86400, "month"], [Infinity, 365 * 86400, "year"]];
  function relative(seconds) {
    var past = seconds >= 0, distance = Math.abs(seconds);
    if (distance < 60) return past ? "just now" : "in a moment";
    for (var i = 0; i < units.length; i++) {
      if (distance < units[i][0]) {
        var count = Math.floor(distance / units[i][1]);
        var text = count + " " + units[i][2] + (count === 1 ? "" : "s");
        return past ? text + " ago" : "in " + text;
      }
    }
    return "";
  }
  /* By the server's clock: `ahead` is how far it is ahead of ours. */
  var ahead = 0;
  function readClock(page) {
    var stamp = page.querySelector("[data-now]");
    if (stamp) ahead = Date.parse(stamp.dataset.now) - Date.now();
  }
  function tellTimes() {
    document.querySelectorAll("time[datetime]").forEach(function (element) {
      var text = relative((Date.now() + ahead - Date.parse(element.dateTime)) / 1000);
      if (text && element.textContent !== text) element.textContent = text;
    });
  }
  readClock(document);
  setInterval(function () { if (!document.hidden) tellTimes(); }, 30000);

  /* Marked regions follow the page as it would be now, fetched once a minute while somebody looks. Nothing is taken
     from under a reader's hands: a region with the focus in it, or with something folded open, waits. */
  var minute = 60000, fetched = Date.now(), busy = false, stopped = false, seen = {};
  var word = document.querySelector("[data-liveness]");
  function regions(page) {
    var found = {};
    page.querySelectorAll("[data-live]").forEach(function (region) { found[region.dataset.live] = region; });
    return found;
  }
  var here = regions(document);
  Object.keys(here).forEach(function (name) { seen[name] = here[name].innerHTML; });

  function inUse(region) {
    var selection = window.getSelection();
    return region.contains(document.activeElement) || region.querySelector("details[open]") !== null ||
      (selection && !selection.isCollapsed && region.contains(selection.anchorNode));
  }
  function follow(text) {
    var page = new DOMParser().parseFromString(text, "text/html"), there = regions(page);
    readClock(page);
    Object.keys(here).forEach(function (name) {
      if (!there[name] || there[name].innerHTML === seen[name] || inUse(here[name])) return;
      seen[name] = there[name].innerHTML;
      here[name].replaceChildren.apply(here[name], Array.from(there[name].childNodes));
    });
    tellTimes();
  }
  function refresh() {
    if (busy || document.hidden || Date.now() - fetched < minute) return;
    busy = true;
    fetched = Date.now();
    fetch(location.href, { headers: { "X-Live": "1" }, credentials: "same-origin", redirect: "error" })
      .then(function (answer) {
        if (!answer.ok) throw new Error(String(answer.status));
        return answer.text();
      })
      .then(function (text) { follow(text); stopped = false; word.textContent = ""; })
      .catch(function () { stopped = true; word.textContent = "· not live: reload to see what is new"; })
      .finally(function () { busy = false; });
  }
  if (Object.keys(here).length && word) {
    setInterval(function () { if (!stopped) refresh(); }, 5000);
    /* Whoever comes back to the page gives it another try. */
    document.addEventListener("visibilitychange", refresh);
  }
})();
