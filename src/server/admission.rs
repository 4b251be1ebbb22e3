//! How many connections a shard has, in all and from each address. Lives on one shard; knows nothing else of them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

/// The connections of one shard, counted.
#[derive(Debug, Default)]
pub(super) struct Admissions {
    open: Cell<usize>,
    from: RefCell<HashMap<IpAddr, u32>>,
}

/// One connection among those counted, for as long as this value lives.
#[derive(Debug)]
pub(super) struct Admitted {
    admissions: Rc<Admissions>,
    address: IpAddr,
}

impl Admissions {
    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    pub(super) fn open_from(&self, address: IpAddr) -> u32 {
        self.from.borrow().get(&address).copied().unwrap_or(0)
    }

    /// Counts a connection, whatever the limits are: one that comes from another shard has been admitted there.
    pub(super) fn admit(self: &Rc<Self>, address: IpAddr) -> Admitted {
        self.open.set(self.open.get() + 1);
        *self.from.borrow_mut().entry(address).or_default() += 1;
        Admitted { admissions: Rc::clone(self), address }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Admissions { open, from } = &*self.admissions;
        open.set(open.get() - 1);
        let mut from = from.borrow_mut();
        let count = from.get_mut(&self.address).expect("a connection that is open is counted");
        *count -= 1;
        if *count == 0 {
            from.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_address_until_they_are_gone() {
        let admissions = Rc::new(Admissions::default());
        let [here, there] = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 1])];
        let first = admissions.admit(here);
        let others = [admissions.admit(here), admissions.admit(there)];
        assert_eq!((admissions.open(), admissions.open_from(here), admissions.open_from(there)), (3, 2, 1));
        drop(first);
        assert_eq!((admissions.open(), admissions.open_from(here)), (2, 1));
        drop(others);
        assert!(admissions.open() == 0 && admissions.from.borrow().is_empty());
    }
}
