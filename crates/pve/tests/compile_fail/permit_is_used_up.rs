//! A permit is taken by value: a second attempt needs a second look.

async fn twice(client: proximity_pve::Client, permit: proximity_domain::destroy::DestroyPermit) {
    let _first = client.destroy_lxc(permit).await;
    let _second = client.destroy_lxc(permit).await;
}

fn main() {}
