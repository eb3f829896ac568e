//! What is not a method of the client cannot be sent: neither half has a generic request.

fn generic(client: proximity_pve::Client, read: proximity_pve::ReadClient) {
    client.change("DELETE", "/nodes/pve1/lxc/100");
    read.get("/nodes");
    read.transport();
}

fn main() {}
