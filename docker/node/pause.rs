//! The process that holds a pod's namespaces open: it does nothing for as long as the pod is there.

fn main() {
    loop {
        std::thread::park();
    }
}
