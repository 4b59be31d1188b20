#![doc = include_str!("../README.md")]

pub mod config;
mod dataset;
mod genesis;
mod model;
mod optimiser;
mod partition;
mod plain;
pub mod random;
pub mod source;
mod torch;
mod train;

pub use config::{Activation, ConfigError, ModelSpec, Optimiser, TrainingConfig};
pub use dataset::{Dataset, Splits, HELD_OUT_PERCENT, HELD_OUT_SEED};
pub use genesis::genesis_weights;
pub use partition::{Partition, PartitionError, MIN_PARTITION_SAMPLES};
pub use plain::{plain_steps, PlainRun};
pub use source::{load, load_all, CsvOptions, DataError, DataSource, Header, LabelColumn};
pub use torch::{check_weights, set_threads, Device, UnknownDevice};
pub use train::{
	evaluate, train, Evaluation, Evaluator, LocalRun, LocalTrainer, Momentum, Stop, Trained, TrainingError,
};

/// The shipped model file of a perceptron for the built-in digits.
pub const DIGITS_MLP: &str = include_str!("../models/digits-mlp.toml");
/// The shipped model file of a small convolutional network for the built-in digits.
pub const DIGITS_CNN: &str = include_str!("../models/digits-cnn.toml");
/// The shipped model file of the convolutional network for MNIST of Karimireddy and others 2022, "Byzantine-Robust
/// Learning on Heterogeneous Datasets via Bucketing".
pub const MNIST_CNN: &str = include_str!("../models/mnist-cnn.toml");
/// The Dirichlet concentration that is used unless another is given. Workers are clearly unlike each other (of five
/// workers on digits, one may hold hardly any sample of some class and half of those of another), and a round in which
/// one of them is silent still does not lose a class.
pub const DEFAULT_ALPHA: f64 = 1.0;
