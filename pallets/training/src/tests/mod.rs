mod commit;
mod committee;
mod genesis;
mod life;
mod pool;
mod properties;
mod settlement;
mod silence;
