import { mount } from 'svelte'

import './app.css'
import { use } from './api/client'
import App from './App.svelte'
import { auth } from './lib/auth.svelte'
import { words } from './lib/words.svelte'

use(auth)
await words.begin()
const page = document.getElementById('page')
if (page !== null) mount(App, { target: page })
