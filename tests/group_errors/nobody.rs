//! Groups that are not there, and ids that none can have.

use super::broker::{Broker, who};

pub fn groups_that_are_not_there(broker: &mut Broker) {
    let nobody = who("none", 1, "nobody", None);
    let members = [("nobody", None), ("", Some("i"))];
    broker.answers(
        "in a group that is not there",
        &[
            ("join of an unknown member", &|it| it.join(&nobody).0, "UnknownMemberId"),
            ("sync", &|it| it.sync(&nobody), "UnknownMemberId"),
            ("heartbeat", &|it| it.beat(&nobody), "UnknownMemberId"),
            ("leave", &|it| it.leave("none", &members), "None UnknownMemberId UnknownMemberId"),
            ("commit v8", &|it| it.commit_to(8, &nobody, &[("t", 0, 1, "")]), "IllegalGeneration"),
            ("commit v9", &|it| it.commit_to(9, &nobody, &[("t", 0, 1, "")]), "GroupIdNotFound"),
            ("fetch", &|it| it.fetch(9, &nobody, Some(&[0, 1])), "None 0@-1:None 1@-1:None"),
            ("delete", &|it| it.delete("none"), "GroupIdNotFound"),
            ("delete of offsets", &|it| it.delete_offsets("none", "t", 0), "GroupIdNotFound"),
            ("describe", &|it| it.describe("none"), "GroupIdNotFound Dead"),
            ("describe as a consumer group", &|it| it.describe_consumers("none"), "GroupIdNotFound  0"),
            ("consumer heartbeat", &|it| it.consumer("none", "nobody", 3, |_| {}), "GroupIdNotFound"),
            ("list: nothing was made", &|it| it.list(&[], &[]), "None 0"),
        ],
    );
}

/// Consumers of long ago committed without a group id, so it is one that can be found, committed to and deleted.
pub fn illegal_ids(broker: &mut Broker) {
    let (new, nameless) = (who("", 1, "", None), who("", 1, "m", None));
    broker.answers(
        "without a group id",
        &[
            ("find", &|it| it.find(""), "None"),
            ("join", &|it| it.join(&new).0, "InvalidGroupId"),
            ("sync", &|it| it.sync(&nameless), "InvalidGroupId"),
            ("heartbeat", &|it| it.beat(&nameless), "InvalidGroupId"),
            ("leave", &|it| it.leave("", &[("m", None)]), "InvalidGroupId"),
            ("delete of offsets", &|it| it.delete_offsets("", "t", 0), "InvalidGroupId"),
            ("consumer heartbeat", &|it| it.consumer("", "m", 0, |_| {}), "InvalidRequest"),
            ("delete", &|it| it.delete(""), "GroupIdNotFound"),
            ("describe", &|it| it.describe(""), "GroupIdNotFound Dead"),
            ("describe as a consumer group", &|it| it.describe_consumers(""), "InvalidGroupId  0"),
        ],
    );
}
