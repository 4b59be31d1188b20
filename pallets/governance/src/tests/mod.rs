mod charter;
mod programmes;
mod properties;
mod validators;
