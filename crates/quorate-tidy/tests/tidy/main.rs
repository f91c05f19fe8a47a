//! The house rules that no compiler knows: walls between rooms, the width of lines, citations that
//! lead somewhere, maps that name every file, and log records.

mod citations;
mod imports;
mod layers;
mod lines;
mod logs;
mod maps;
mod promises;
mod public_api;
mod source;
