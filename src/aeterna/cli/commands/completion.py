"""``aeterna completion``."""

from __future__ import annotations

import argparse

from aeterna.cli.exit_codes import OK

EPILOG = """\
examples:
  eval "$(aeterna completion bash)"                                 in ~/.bashrc
  eval "$(aeterna completion zsh)"                                  in ~/.zshrc, after compinit
  aeterna completion fish > ~/.config/fish/completions/aeterna.fish

Commands, options, the ids of runs and the names of services are completed, by asking `aeterna` itself.
"""

# COMP_WORDS splits words at ':', which ids of child runs have: what is completed is put together again.
BASH = """\
_aeterna() {
    local line=${COMP_LINE:0:COMP_POINT} word
    local -a words
    read -r -a words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[-1]}
    local prefix=${word%"${COMP_WORDS[COMP_CWORD]}"}
    COMPREPLY=()
    while IFS= read -r candidate; do
        [[ $candidate == "$word"* ]] && COMPREPLY+=("${candidate#"$prefix"}")
    done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
}
complete -o default -F _aeterna aeterna aether
"""

ZSH = """\
_aeterna() {
    local -a candidates
    candidates=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${candidates[1]}" ]]; then
        compadd -a candidates
    else
        _files
    fi
}
compdef _aeterna aeterna aether
"""

FISH = """\
function __aeterna_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -a words (commandline --current-token --cut-at-cursor)
    $words[1] __complete $words[2..-1] 2>/dev/null
end
complete --command aeterna --arguments "(__aeterna_complete)"
complete --command aether --arguments "(__aeterna_complete)"
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's argument."""
    parser.epilog = EPILOG
    parser.add_argument("shell", choices=SCRIPTS, help="the shell to print a script for")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print(SCRIPTS[args.shell], end="")
    return OK
