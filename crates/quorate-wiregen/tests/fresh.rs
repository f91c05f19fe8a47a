//! The committed file is what the proto file says.

use std::fs;

#[test]
fn committed_code_is_fresh() {
    let committed = fs::read_to_string(quorate_wiregen::generated_path())
        .expect("the generated file is committed");
    let generated = quorate_wiregen::generate().expect("the committed proto file is valid");
    assert!(
        committed == generated,
        "src/wire/generated.rs is not what proto/quorate.proto says: \
         run `cargo run -p quorate-wiregen`"
    );
}
