//! Ingress: leads each app's public and internal port to its guest.
