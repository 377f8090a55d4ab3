"""Labels of options: capitals that the tokenizer writes as one token right after the answer's turn begins.

Only a table knows them: of the pairs of capitals 178 are one token there, and no digit is, since a token of
white space comes before it. `Labels.load` asks the loaded tokenizer about each.
"""

from dataclasses import dataclass

from phiserve.chat.encoder import PromptEncoder
from phiserve.decisions.questions import Option, line_of
from phiserve.errors import StartupError

MAX_OPTIONS = 255
"""Most options that a question may have, as OpenAI's."""

_TABLE = """
A B C D E F G H I J K L M N O P Q R S T U V W X Y Z AA AB AC AD AF AG AL AM AN AP AR AS AT AV BB BC BE
BO BR BY CA CC CD CE CF CG CH CI CL CO CP CR CS CT CV DA DB DC DE DI DJ DM DO DR EC ED EF EL EM EN EP ER
ES EU EX FA FB FC FF FI FK FM FO FR GB GC GL GO GP GR GT HD HE HO HT IB IC ID IE IF II IL IM IN IO IP IR
IS IT IU IV IX JS LA LE LI LL LO LP MA MB MC MD ME ML MM MO MP MR MS MY NA NC NE NK NO NR NS NY OF OK ON
OP OR OS PA PC PK PL PM PO PR PS RA RC RE RO SA SC SD SE SF SH SI SK SL SM SN SO SP SR SS ST SU SV SW SY
TE TH TO TR TV UE UI UK UN UP US VB VI VM VS WH WM XI XP XV XX ABC ADD ALL AND API ASC ASP ATP AUT AWS
BBC BTW CBS CLI CNN COL COM CON CPU CSS CSV DAT DDR DES DIS DLL DNA DNS DOM DVD END ERR ESP FOR GET GND
GNU GPU GUI HMS IBM IDE III IIS INT ISO JVM KEY LED LIM LIN LOG MAC MAR MAX MTV MVC NAS NAT NBA NEW NFL
NGC NOT NUM OUT PDF PDO PHP PRO RAM RET RUN SDK SER SET SQL SSH SSL STR SUB SUM TCP THE TLS URI URL USA
USB USS UTC UTF VAL VBA VII WCF WPF XII XIV XIX XML XVI YES
"""

CANDIDATES = tuple(_TABLE.split())
"""One, two and three capitals, in the order in which options get them: all of the model's own tokenizer."""

_OPTION = Option("0")


class LabelsUnusable(StartupError):
    """The tokenizer writes too few labels as tokens of their own."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels, and the id of each one's token at the answer's beginning."""

    texts: tuple[str, ...]
    ids: tuple[int, ...]

    @classmethod
    def load(cls, encoder: PromptEncoder) -> "Labels":
        """Those that the tokenizer writes as single tokens, as many as there may be options.

        None twice, and each in an option's line, too: what is asked for has to be what was shown. Raises
        LabelsUnusable where there are fewer.
        """
        found: dict[int, str] = {}
        for label in CANDIDATES:
            ids = encoder.encode_text(label)
            if len(ids) == 1 and ids[0] in encoder.encode_text(f"\n{line_of(label, _OPTION)}"):
                found.setdefault(ids[0], label)
        if len(found) < MAX_OPTIONS:
            raise LabelsUnusable(f"The tokenizer has single tokens for {len(found)} labels of options only")
        return cls(tuple(found.values())[:MAX_OPTIONS], tuple(found)[:MAX_OPTIONS])
