// The words of the page, out of src/messages.

import en from '../messages/en.json'
import { filled } from './filled'
import { firstLanguage, keepLanguage, type Language } from './settings.svelte'

export type Word = keyof typeof en
type Values = Record<string, string | number>

class Words {
  language = $state<Language>('en')
  private messages = $state.raw<Record<string, string>>(en)

  /** Before anything is shown. */
  async begin(): Promise<void> {
    await this.choose(firstLanguage(), false)
  }

  async choose(language: Language, keep = true): Promise<void> {
    this.messages = language === 'de' ? (await import('../messages/de.json')).default : en
    this.language = language
    document.documentElement.lang = language
    if (keep) keepLanguage(language)
  }

  /** The text of a message, with its values put in. */
  say(word: Word, values: Values = {}): string {
    return filled(this.messages[word] ?? en[word], values, this.language)
  }

  /** A label of the API as people say it; one that is not known is shown as it is. */
  label(prefix: string, label: string): string {
    return this.messages[`${prefix}.${label}`] ?? label.replaceAll('_', ' ')
  }
}

export const words = new Words()
/** Short for `words.say`. */
export const t = (word: Word, values?: Values): string => words.say(word, values)
