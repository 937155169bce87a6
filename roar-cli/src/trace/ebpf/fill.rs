//! Fills in what no compiler of the programs knew: what the running kernel's types say.
//!
//! The object has numbers that stand for words of the layout, and calls with a number of their own
//! that stand for the kernel's cast of an address to a type (`bpf_rdonly_cast`, Linux 6.2), which
//! is called by its id. Both are instructions that are looked for one by one.

use aya_obj::Object;
use aya_obj::generated::bpf_insn;
use roar_common::{CAST_CALL, KernelLayout, LAYOUT_WORD};

use super::load::LoadError;
use super::sys::layout_words;

/// `BPF_ALU64 | BPF_MOV | BPF_K`.
const MOVE_NUMBER: u8 = 0xb7;
/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;
/// `BPF_PSEUDO_KFUNC_CALL`, the source register of a call to a function of the kernel's.
const OF_KERNEL: u8 = 2;
/// The half of a number by which those that stand for words are told.
const MARK: u32 = 0xffff_0000;

/// `cast` is the id of the kernel's cast, where it has it.
pub(super) fn fill(
    object: &mut Object,
    layout: &KernelLayout,
    cast: Option<u32>,
) -> Result<(), LoadError> {
    let words = layout_words(layout);
    let functions = object.functions.values_mut();
    for instruction in functions.flat_map(|function| function.instructions.iter_mut()) {
        if let Some(at) = place_of_word(*instruction) {
            let word = words.get(at / size_of::<u32>());
            let word = word.ok_or_else(|| LoadError::Object(format!("no word at {at}")))?;
            instruction.imm = *word as i32;
        } else if instruction.imm as u32 & MARK == LAYOUT_WORD {
            // A compiler that writes such numbers in another way would have them go in unfilled.
            let code = instruction.code;
            return Err(LoadError::Object(format!(
                "a word in instruction {code:#x}"
            )));
        } else if is_cast(*instruction) {
            instruction.set_src_reg(OF_KERNEL);
            instruction.imm = cast.ok_or(LoadError::NoCast)? as i32;
        }
    }
    Ok(())
}

/// Where the word is that an instruction's number stands for, in bytes.
fn place_of_word(instruction: bpf_insn) -> Option<usize> {
    let number = instruction.imm as u32;
    let is_marked = instruction.code == MOVE_NUMBER && number & MARK == LAYOUT_WORD;
    is_marked.then_some((number & !MARK) as usize)
}

fn is_cast(instruction: bpf_insn) -> bool {
    instruction.code == CALL && instruction.src_reg() == 0 && instruction.imm == CAST_CALL as i32
}
