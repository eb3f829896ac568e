// What somebody chose for this browser: the theme, the language. Kept here and nowhere else.

export type Theme = 'auto' | 'light' | 'dark'
export type Language = 'en' | 'de'

function kept(name: string): string | null {
  try {
    return localStorage.getItem(`proximity.${name}`)
  } catch {
    return null
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(`proximity.${name}`, value)
  } catch {
    // Storage that is shut off: it holds until the page is loaded anew.
  }
}

class Settings {
  theme = $state<Theme>('auto')

  constructor() {
    const theme = kept('theme')
    if (theme === 'light' || theme === 'dark') this.theme = theme
  }

  setTheme(theme: Theme): void {
    this.theme = theme
    keep('theme', theme)
    if (theme === 'auto') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme
  }
}

export const settings = new Settings()

/** The language that was chosen, or the browser's. */
export function firstLanguage(): Language {
  const chosen = kept('language')
  if (chosen === 'en' || chosen === 'de') return chosen
  return navigator.language.toLowerCase().startsWith('de') ? 'de' : 'en'
}

export function keepLanguage(language: Language): void {
  keep('language', language)
}
