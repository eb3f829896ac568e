//! What is not a method of the client cannot be sent: neither half has a generic request.

async fn generic(client: proximity_pve::Client, read: proximity_pve::ReadClient) {
    let _ = client.change::<()>(todo!(), None).await;
    let _ = read.get::<()>(todo!()).await;
    let _ = client.read().transport();
}

fn main() {}
