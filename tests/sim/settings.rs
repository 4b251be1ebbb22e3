//! Topic settings that no administrator may give, for logs that roll within a few records.

use std::sync::Arc;

use ringmain::controller::MetadataImage;

/// The same cluster state with segments of other sizes for topics of these names.
pub fn with_segments_of(
    image: &Arc<MetadataImage>,
    bytes: impl Fn(&str) -> Option<u64>,
) -> Arc<MetadataImage> {
    let mut image = MetadataImage::clone(image);
    for (name, topic) in &mut image.topics {
        if let Some(bytes) = bytes(name) {
            Arc::make_mut(topic).settings.segment_bytes = bytes;
            image.topics_by_id.insert(topic.id, Arc::clone(topic));
        }
    }
    image.into()
}
