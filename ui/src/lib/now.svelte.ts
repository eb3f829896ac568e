// The time of day for all that says how long ago something was: one clock, which stands still while nobody looks.

class Now {
  ms = $state(Date.now())

  begin(): () => void {
    const tick = (): void => {
      if (document.visibilityState === 'visible') this.ms = Date.now()
    }
    const timer = setInterval(tick, 5000)
    document.addEventListener('visibilitychange', tick)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', tick)
    }
  }
}

export const now = new Now()
