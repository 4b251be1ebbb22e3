//! Members that leave a classic group.

use std::sync::Arc;

use crate::group::request::{GroupError, LeavingMember};

use super::{ClassicContext, ClassicGroup};

impl ClassicGroup {
    /// Removes members. Returns the outcome of each, in order.
    pub(in crate::group) fn leave(
        &mut self,
        context: &mut ClassicContext<'_>,
        leaving: &[LeavingMember],
    ) -> Vec<Result<(), GroupError>> {
        let mut any = false;
        let results = leaving
            .iter()
            .map(|member| {
                let id = self.leaving_id(member)?;
                if self.pending.remove(&id).is_none() {
                    self.remove(context, &id);
                }
                any = true;
                Ok(())
            })
            .collect();
        if any {
            self.members_changed(context);
        }
        results
    }

    fn leaving_id(&self, leaving: &LeavingMember) -> Result<Arc<str>, GroupError> {
        match &leaving.instance_id {
            Some(instance) => {
                let current = self.instances.get(instance).ok_or(GroupError::UnknownMemberId)?;
                if !leaving.member_id.is_empty() && *current != leaving.member_id {
                    return Err(GroupError::FencedInstanceId);
                }
                Ok(Arc::clone(current))
            }
            None if self.members.contains_key(&leaving.member_id)
                || self.pending.contains_key(&leaving.member_id) =>
            {
                Ok(Arc::clone(&leaving.member_id))
            }
            None => Err(GroupError::UnknownMemberId),
        }
    }
}
