//! Client for the Proxmox VE API and access into guests over SSH.
