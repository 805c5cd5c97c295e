/* Puts the remembered choice of light or dark into effect before anything is painted. */
(function () {
  "use strict";
  var root = document.documentElement;
  root.classList.add("js");
  try {
    var theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch (error) { /* storage is forbidden: the system's preference it is */ }
})();
