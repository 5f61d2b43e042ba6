//! The state between the host, where checkpoints and files are made of it, and the device, where it moves.

use longtail_artifact::TensorData;
use longtail_ops::gpu::Driver;
use longtail_training::{StateReader, StateWriter, Step, restore_state, save_state, to_f32};

use super::GpuTrainer;
use super::meta_step::Adam;
use crate::RepresentationError;
use crate::method::Method;

impl<D: Driver + Clone> GpuTrainer<D> {
    /// A vector as long as all weights, backbone turned to the device's order of axes.
    fn turned(&self, values: &[f32]) -> Result<Vec<f32>, RepresentationError> {
        let (backbone, head) = values.split_at(self.weights.backbone);
        let mut turned = self.network.to_device_order(backbone)?;
        turned.extend_from_slice(head);
        Ok(turned)
    }

    /// The way back.
    fn turned_back(&self, values: &[f32]) -> Result<Vec<f32>, RepresentationError> {
        let (backbone, head) = values.split_at(self.weights.backbone);
        let mut turned = self.network.from_device_order(backbone)?;
        turned.extend_from_slice(head);
        Ok(turned)
    }

    pub(super) fn take_over(&mut self, step: &mut Step, method: &mut dyn Method) -> Result<(), RepresentationError> {
        let values = self.turned(&to_f32(&step.model.weights)?)?;
        let momentum = self.turned(&to_f32(step.optimizer().buffer())?)?;
        let driver = &self.driver;
        self.weights.values.view_mut().write(driver, &values)?;
        self.weights.momentum.view_mut().write(driver, &momentum)?;
        self.weights.running.view_mut().write(driver, &to_f32(&step.model.running)?)?;
        let mut writer = StateWriter::default();
        save_state(method.state(), &mut writer)?;
        let mut reader = StateReader::new("the method's state", writer.into_tensors());
        let values = reader.vector::<f32>("prototypes.values")?;
        self.prototypes.restore(driver, &values, reader.counter_list("prototypes.updates")?)?;
        if let Some(meta) = &mut self.meta {
            meta.theta.view_mut().write(driver, &reader.vector::<f32>("meta.theta")?)?;
            [meta.steps] = reader.counters("meta.steps")?;
            if let Some(Adam { first, second, steps, .. }) = &mut meta.adam {
                first.view_mut().write(driver, &reader.vector::<f32>("meta.adam.first")?)?;
                second.view_mut().write(driver, &reader.vector::<f32>("meta.adam.second")?)?;
                [*steps] = reader.counters("meta.adam.steps")?;
            }
        }
        Ok(())
    }

    pub(super) fn bring_back(&mut self, step: &mut Step, method: &mut dyn Method) -> Result<(), RepresentationError> {
        let driver = &self.driver;
        let mut writer = StateWriter::default();
        writer.vector("weights", &self.turned_back(&self.weights.values.to_vec(driver)?)?);
        writer.vector("running", &self.weights.running.to_vec(driver)?);
        writer.vector("momentum", &self.turned_back(&self.weights.momentum.to_vec(driver)?)?);
        restore_state(step.state(), &mut StateReader::new("the device's weights", writer.into_tensors()))?;

        let counters = |values: &[u64]| TensorData::U8(values.iter().flat_map(|v| v.to_le_bytes()).collect());
        let (values, updates) = self.prototypes.state(driver)?;
        let mut moved = vec![("prototypes.values", TensorData::F32(values)), ("prototypes.updates", counters(updates))];
        if let Some(meta) = &self.meta {
            moved.push(("meta.theta", TensorData::F32(meta.theta.to_vec(driver)?)));
            moved.push(("meta.steps", counters(&[meta.steps])));
            if let Some(adam) = &meta.adam {
                moved.push(("meta.adam.first", TensorData::F32(adam.first.to_vec(driver)?)));
                moved.push(("meta.adam.second", TensorData::F32(adam.second.to_vec(driver)?)));
                moved.push(("meta.adam.steps", counters(&[adam.steps])));
            }
        }
        // What does not move on the device stays as the host has it.
        let mut writer = StateWriter::default();
        save_state(method.state(), &mut writer)?;
        let mut tensors = writer.into_tensors();
        for (name, data) in moved {
            let tensor = tensors.iter_mut().find(|tensor| tensor.name == name);
            tensor.expect("a method saves everything that moves in it").data = data;
        }
        Ok(restore_state(method.state(), &mut StateReader::new("the device's state", tensors))?)
    }
}
