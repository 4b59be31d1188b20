//! The DAO's origins and its OpenGov tracks have their place here. Until they come, no origin but the chain's own can
//! change the runtime, the validator set or a programme: there is no sudo.
