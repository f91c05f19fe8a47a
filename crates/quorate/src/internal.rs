//! The layers below the public face, for the simulator, the benches and the fuzz targets of this
//! repository. No service is to use them: any version may change them in any way.

pub use crate::base::bug;
pub use crate::base::told::shortened;

#[cfg(feature = "driver")]
pub use crate::driver::TestClock;

/// Declares modules that show all that rooms of the crate share.
macro_rules! rooms {
    ($($room:ident)*) => {
        $(pub mod $room {
            #![doc = concat!("What `", stringify!($room), "` shares.")]

            pub use crate::$room::*;
        })*
    };
}

rooms! { disk protocol record session state store wire }
