// Before anything is painted: what was chosen last, so that no dark page begins with a white flash.
;(function () {
  var chosen = null
  try {
    chosen = localStorage.getItem('proximity.theme')
  } catch (_) {
    // Storage that is shut off: the system decides.
  }
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen
})()
