//! An HTTP server that behaves like Proxmox VE, with real LXC containers as guests.
