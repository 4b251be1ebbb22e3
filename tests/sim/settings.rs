//! Topic settings that no administrator may give, for logs that roll within a few records.

use std::sync::Arc;

use ringmain::config::topic::TopicSettings;
use ringmain::controller::MetadataImage;

/// The cluster state `image`, except that topics have segments of the size that `bytes` gives for their name, if any.
pub fn with_segments_of(
    image: &Arc<MetadataImage>,
    bytes: impl Fn(&str) -> Option<u64>,
) -> Arc<MetadataImage> {
    let mut image = MetadataImage::clone(image);
    let cluster = Arc::clone(&image.cluster);
    for topic in cluster.topics.values() {
        if let Some(segment_bytes) = bytes(&topic.name) {
            let settings = TopicSettings { segment_bytes, ..image.settings(topic).clone() };
            Arc::make_mut(&mut image.here).give_settings(topic.id, settings);
        }
    }
    image.into()
}
