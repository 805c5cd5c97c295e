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
  /* By the server's clock: what it wrote was true when the page was made. */
  var made = Date.now(), ages = new Map();
  var stamp = root.querySelector("[data-now]");
  var start = stamp ? Date.parse(stamp.dataset.now) : made;
  document.querySelectorAll("time[datetime]").forEach(function (element) {
    ages.set(element, start - Date.parse(element.dateTime));
  });
  setInterval(function () {
    if (document.hidden) return;
    ages.forEach(function (age, element) {
      var text = relative((age + Date.now() - made) / 1000);
      if (text && element.textContent !== text) element.textContent = text;
    });
  }, 30000);
})();
