from ossia.grammar import Checked, Compiler, JsonObject, Rules, ToolRule, check
from ossia.harmony import Vocabulary


def test_rules_compile_to_a_walk():
    vocabulary = Vocabulary.embedded()
    rules = Rules(tools=(ToolRule(recipient="functions.add"),), answer=JsonObject())
    assert check(rules, vocabulary) == Checked()
    assert Compiler(vocabulary).compile(rules.to_source()).accept(vocabulary.channel)
