//! Errors of devices and of what runs on them.

use wgrad::data::DataError;
use wgrad::plan::{BackendError, PrepareOptions, Session, Source};
use wgrad::{BackendChoice, Device, DeviceInfo, DeviceKind, DeviceSelector, EntryId, Error, HostSlice, VarId, lower};

use super::graphs::{refused_by_backend, table_program};
use super::{Doing, List};

pub(super) fn add(list: &mut List) -> Result<(), Error> {
    let doing = Doing::Devices;
    list.add(doing, "A backend that does not exist", BackendChoice::parse("cuda", wgrad::BACKEND_VARIABLE));
    let found = [DeviceInfo {
        name: "cpu".to_owned(),
        backend: "cpu".to_owned(),
        kind: DeviceKind::Cpu,
        driver: String::new(),
    }];
    let selector = DeviceSelector { backend: BackendChoice::Vulkan, adapter: Some("Radeon".to_owned()) };
    list.add(doing, "An adapter that is not there", selector.choose(&found));
    let misspelt =
        "class,layout,m,n,k,batch,results,work,tiles,form,rows,columns\nhardware,NN,64..,*,*,*,*,*,*,tilde,64,64\n";
    let table = list.scratch.file("tuning.csv", misspelt.as_bytes());
    let table = table.map_err(|error| DataError::Io { file: "tuning.csv".to_owned(), reason: error.to_string() })?;
    list.add(doing, "A tuning table with a typing error", Device::open_tuned(&DeviceSelector::default(), &table));
    list.add(doing, "A plan that the device cannot have", refused_by_backend());

    let mut session = session(list)?;
    let entry = EntryId::from_index(0);
    list.add(doing, "Too many feeds", session.run(entry, &[HostSlice::F32(&[0.0])]));
    list.add(doing, "An entry that is not there", session.run(EntryId::from_index(7), &[]));
    list.add(doing, "A fetch that is not there", session.read(Source::Fetch(entry, 3)));
    list.add(doing, "Data of another type", session.write(VarId::from_index(0), HostSlice::U32(&[0; 4])));
    let device = || "vulkan: GPU".to_owned();
    let (during, detail) = (|| "allocating buffers".to_owned(), || "<the driver's words>".to_owned());
    list.add_by_hand(
        doing,
        "A device without enough memory",
        BackendError::OutOfMemory { device: device(), during: during(), detail: detail() },
    );
    list.add_by_hand(
        doing,
        "A device that was unplugged or reset",
        BackendError::DeviceLost { device: device(), detail: detail() },
    );
    list.add_by_hand(
        doing,
        "A driver that refuses what it should not",
        BackendError::Device { device: device(), during: "making pipelines".to_owned(), detail: detail() },
    );
    Ok(())
}

fn session(list: &List) -> Result<Box<dyn Session>, Error> {
    let backend = list.cpu.backend();
    Ok(backend.prepare(lower(&table_program()?, backend.target())?, PrepareOptions::default())?)
}
