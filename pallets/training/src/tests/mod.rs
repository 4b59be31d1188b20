mod commit;
mod committee;
mod genesis;
mod pool;
mod properties;
mod settlement;
mod silence;
