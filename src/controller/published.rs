//! A new image, as it is handed to everybody who has the one before.

use std::sync::Arc;

use super::change::Change;
use super::image::MetadataImage;

/// A new image, and by what it differs from the one before.
#[derive(Clone, Debug)]
pub struct Published {
    pub image: Arc<MetadataImage>,
    /// The version that `changes` begin with. For any other, the image must be looked at as a whole.
    pub from_version: i64,
    pub changes: Vec<Change>,
}

impl Published {
    /// The version that nobody has: whoever gets the image looks at all of it.
    pub const FROM_NOTHING: i64 = -1;
}
