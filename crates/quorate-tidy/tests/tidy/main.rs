//! The house rules that no compiler knows: walls between rooms, the width of lines, citations that
//! lead somewhere, and maps that name every file.

mod citations;
mod imports;
mod layers;
mod lines;
mod maps;
mod promises;
mod public_api;
mod source;
