// Runs before the first paint, so that a chosen theme never flashes the other one.
(function () {
  "use strict";
  var root = document.documentElement;
  try {
    var chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch (denied) { /* without storage the system's theme holds */ }
})();
