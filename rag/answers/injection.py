"""Sentences of a document that are addressed to whoever reads it for somebody else: commands to a language model.

Prompt injection (Greshake et al. 2023, arXiv:2302.12173) hides orders in what is retrieved. `commands` finds their
sentences, so that they are neither quoted as evidence nor shown without a warning; `disarmed` takes out of a text what
a person does not see and a model reads. Both are pure and know only forms that are in use: they are one fence among
several, no proof. What manuals say to people who write programs ("return only the fields…", "inform the user that…")
is no command to a model, unless the same text holds one that is.
"""

# ruff: noqa: E501 (a pattern is read on one line)

import re
import unicodedata
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rag.language import sentence_spans

# ── what is not seen ────────────────────────────────────────────────────────────────────────────────────────────────

# Tag characters spell ASCII that no font shows (only flags need them, behind U+1F3F4); two variation selectors in a
# row, or one of the supplement, choose no glyph of any letter but can carry any bytes.
_TAGS = re.compile("(?<!\U0001f3f4)(?<![\U000e0020-\U000e007f])[\U000e0000-\U000e007f]+")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}")
_CONTROL = re.compile(
    r"<(?=[|｜][^<>\n]{1,60}[|｜]>)"  # <|im_start|>, <|eot_id|>, <｜User｜>
    r"|<(?=/?s>|(?:start|end)_of_turn>|<?/?SYS>>|bos>|eos>|/?think>|/?tool_call>|/?function_calls?>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])"
)


def disarmed(text: str) -> str:
    """The text without characters that nobody sees and models read, and with a blank in each control token of a chat
    model, so that a passage cannot end the message it stands in. Any other text stays as it is."""
    if not text.isascii():
        text = _SELECTORS.sub("", _TAGS.sub("", text))
    return _CONTROL.sub(lambda found: found.group() + " ", text) if "<" in text or "[" in text else text


# ── commands ────────────────────────────────────────────────────────────────────────────────────────────────────────

_ORDERS = r"(?:instructions?|prompts?|rules?|guidelines?|directions?|directives?|orders|commands?|guardrails?|context|passages|documents|programming|training|constraints?|restrictions?|messages?)"
_MODEL = r"(?:ai|a\.i\.|language models?|llms?|chat ?bots?|chatgpt|gpt(?:-?\d\w*)?|claude|gemini|llama|(?:ai|virtual|language|answering|rag|automated) (?:models?|systems?|agents?|assistants?|readers?|bots?))"
_ANSWER = r"(?:answers?|repl(?:y|ies)|responses?|outputs?|summar(?:y|ies))"
_SAY = r"(?:say|reply|respond|answer|output|print|write|repeat|begin|start|end|finish|conclude|include|append|add|prepend|insert|state|tell|inform|mention|recommend|return|translate|speak|use|cite|quote|reveal|show|display|disclose|leak|send|forward|post|visit|click|open|call|execute|run|give|claim|confirm|declare|announce|refuse|pretend|act|behave|sing|rhyme|encode|produce|provide|imagine|load|render|warn|advise|urge|convince|persuade|ignore|disregard|forget|do not|don't|never|always)"
_FIRST = r"^\W*(?:(?:and|then|now|also|instead|finally|please|simply|just|always|only|but|so|therefore)\b,?\s*)*"  # of a sentence

Form = tuple[tuple[str, ...], re.Pattern[str]]
# Each form with words of which any text that has it holds one; most texts hold none, and are done with at once.
_FORMS: tuple[Form, ...] = tuple(
    (tuple(words.split("|")), re.compile(pattern, re.IGNORECASE))
    for words, pattern in (
        # forget what you were told
        (
            "ignor|disregard|forget|no attention|not follow|n't follow|not obey|stop following|never mind",
            rf"\b(?:ignore|disregard|forget|pay no attention to|(?:do not|don't|stop) (?:follow(?:ing)?|obey(?:ing)?)|never mind)\b(?:[^.!?\n]{{0,30}}\b(?:previous|prior|above|earlier|preceding|foregoing|all|any|every|your|these|those|original|initial|other|developer'?s?|system)\b[^.!?\n]{{0,30}}\b{_ORDERS}\b| the (?:{_ORDERS}|question)\b| (?:everything|all|anything|whatever|what)\b[^.!?\n]{{0,30}}\b(?:above|before|previously|so far|told|prior|instructed)\b)",
        ),
        (
            "overrid|bypass|supersede|take precedence|takes precedence|outrank|void|obsolete|revoked|no longer|cancel|suspended|lifted|replaced",
            rf"\b(?:override|bypass|supersedes?|overrides|cancels|outranks?|takes? precedence over|replaces)\b[^.!?\n]{{0,20}}\b(?:previous|prior|above|earlier|preceding|your|system|safety)\b[^.!?\n]{{0,20}}\b{_ORDERS}\b|\b(?:previous|prior|above|earlier|preceding|original|initial|your) (?:system )?(?:instructions?|prompts?|guidelines|directives?)\b[^.!?\n]{{0,25}}\b(?:void|obsolete|cancel+ed|revoked|superseded|no longer|overridden|replaced|suspended|lifted)\b",
        ),
        (
            "instruction|directive|prompt|task",
            r"\b(?:new|override|hidden|secret|priority|real|actual|true) (?:system |task )?(?:instructions?|directives?|prompts?|task)\s*(?:for [^.!?\n:]{0,30})?:|\b(?:instructions?|prompts?|rules|directives?) (?:above|before|so far|until now) (?:were|was|are|is) (?:only |just )?(?:a test|an example|void|wrong|false|obsolete|untrusted|fake|no longer)",
        ),
        (
            "ignoreall|ignoreprev|ignoreyour|ignorethe|disregardall|disregardprev|forgetall|forgetprev",
            r"(?:ignore|disregard|forget)(?:all|any|your|the|of)*(?:previous|prior|above|earlier)*(?:instructions?|rules|prompts?)",
        ),
        # the forms in which models are told who speaks
        (
            "system|assistant|developer|admin",
            r"(?:^|\n)[\s>*#~`\"'(\[|_-]*(?:assistant|ai)(?: response)?[*_\]]*\s*:\s*\S|(?:^|[\n>*~`\"'(\[|]|[.:]\s)\s*#*\s*(?:system|developer|admin(?:istrator)?)[*_\]]*\s*:\s*(?:[\"“*]*)(?:you|your|ignore|disregard|forget|new|override|say|answer|reply|respond|from|always|never|do|all|print|output|the (?:user|assistant|model|previous|next|following)|please|assistant|this is|stop|switch|enter)\b|\b(?:system|developer|admin(?:istrator)?)[ _-](?:prompt|override|instructions?|notice|directive|command)\b\W{0,4}[:>\]]|\b(?:begin|start|end)(?: of)? (?:system|admin|new|hidden|user|trusted) (?:prompt|instructions?|message|override|input)",
        ),
        (
            "<|inst]|｜|[system|[assistant",
            r"<\s?[|｜][^<>\n]{1,60}[|｜]>|\[\s?/?INST\]|<<\s?/?SYS|</?\s?(?:system|assistant|instructions?|system[ _-]?prompt|admin|important|override)>|<\s?(?:start|end)_of_turn>|\[/?(?:system|assistant|instructions?)\]",
        ),
        ("#", r"#{2,}\s*(?:system(?: prompt)?|instructions?|human|assistant|response|new task)\s*:"),
        (
            "end of|passage|document|context|quoted",
            r"\b(?:end of|here ends?|this ends) (?:the |all |of )?(?:quoted |retrieved |provided )?(?:passages?|documents?|context|quoted material|quotation|untrusted \w+)\b[^.!?\n]{0,20}(?:[.:;!\-–—~=*\]]|now|instructions?)|\b(?:passages?|documents|context|quoted (?:text|material)|quotation) ends? here\b",
        ),
        # who is spoken to
        (
            " ai |ai:|ai,|ai!|a.i.|language model|llm|chatbot|chat bot|gpt|claude|gemini|llama|assistant| bot",
            rf"\b(?:dear|hey|hello|hi|attention|note (?:to|for)|notice (?:to|for)|(?:message|text|line|sentence) (?:is |meant )?(?:to|for)|instructions? (?:to|for)|memo to|reminder (?:to|for)|if you(?: are|'re)|you are|you're|calling all|listen,?)\b,? (?:any |all |the |an? |this |every |our |whichever |also )?(?:\w+ )?(?:{_MODEL}|assistants?|bots?)\b(?:[^.!?\n]{{0,60}}(?:[:,;!–—.]|\b(?:must|should|shall|please|reading|never|always|now|you|your|is required|are required)\b)|$)|{_FIRST}(?:to|for|as) (?:any |all |the |an? |every |whichever )(?:\w+ )?{_MODEL}s?\b[^.!?\n]{{0,60}}[:,]|\b{_MODEL}s?\b[^.!?\n]{{0,30}}\b(?:reading|processing|summari[sz]ing|indexing|that reads?|who reads?|which reads?)\b[^.!?\n]{{0,20}}\b(?:this|these|the) (?:text|page|document|passage|note|message|file|content|line|sentence|paragraph|section)|(?:^\W*|[.!?:(]\s*|\n\W*)(?:ai|llm|chatbot|assistant|bot|claude|chatgpt|gpt-?\d?|gemini)(?: model| assistant)?[,:!]\s*(?:please |you |now |always |never )*{_SAY}\b",
        ),
        # who to be
        (
            "you are|you're|from now on|you will|you must|you shall|you should|act as|act like|pretend|roleplay|role-play|the role of|the part of| mode|anything now|in character|become ",
            rf"\b(?:you are|you're) now (?:an? |the |in |called |named |free from|going to be|\w+bot|dan|(?-i:[A-Z]))|\bfrom now on,? (?:(?:you|your \w+) (?:are|will|must|shall)\b|(?:please )?(?:answer|respond|reply|speak|only|always|call|refer|end|begin)\b|every (?:answer|reply|response))|\byou (?:will|must|shall|should) (?:now )?(?:act as|pretend|roleplay|role-play|impersonate|speak (?:only )?(?:as|like|in)|only (?:say|answer|reply|respond|speak)|(?:always )?(?:answer|reply|respond) (?:with|only|by|in|to (?:every|all|any))|say|ignore)\b|{_FIRST}(?:act (?:as (?:if you|though you|an? )|like )|pretend (?:to be|you(?:'re| are)|that you)|roleplay|role-play|play the (?:role|part) of|stay in character|become )|[,;:–—] (?:act as if you|pretend (?:to be|that you|you are))|\b(?:game|story|play|scene) in which you (?:are|play)\b|\byou are (?:no longer (?:an?|bound|the|required|limited)|free from|dan\b|an? (?:unrestricted|uncensored|evil|helpful assistant))|\b(?:dan|jailbreak|god|unrestricted|sudo) mode\b|\b(?:enter|activate|switch to|you are in) (?:developer|debug|admin|maintenance|diagnostic) mode\b[^.!?\n]{{0,20}}(?:[,:]| and\b| now\b)|\bdo anything now\b",
        ),
        # what was said in confidence
        (
            "prompt|instructions|your rules|above|hidden|confidential",
            rf"\b(?:reveal|print|show|repeat|output|display|disclose|leak|give|tell|write|list|recite|copy|summari[sz]e|translate|encode|paste|quote|send|what (?:is|are|was|were)|include|append)\b[^.!?\n]{{0,40}}\b(?:(?:your|its|the assistant's|the model's) (?:\w+ ){{0,3}}(?:prompts?|instructions|rules|messages?)|(?:the |this |any )?(?:hidden |full |entire |exact |whole )*(?:system (?:prompt|message)|hidden (?:prompt|instructions?)))\b|{_FIRST}(?:repeat|print|output|copy|reveal)\b[^.!?\n]{{0,20}}\b(?:text|words|everything|content|lines|messages?|conversation) (?:above|before|so far)\b",
        ),
        # what to answer
        (
            "answer|repl|respon|output|summar|cite",
            rf"\b(?:your|every|each) (?:\w+ )?{_ANSWER} (?:to \w+ \w+ |(?:that )?you \w+ )?(?:must|should|shall|has to|have to|needs? to|ought to)\b[^.!?\n]{{0,20}}\b(?:begin|start|end|contain|include|consist|say|read|mention|state|be|carry|close|finish)\b|\b(?:begin|start|end|finish|prefix|preface|conclude|close|open) (?:your|every|each|all(?: of)?(?: your)?) (?:\w+ )?{_ANSWER}\b|\b(?:include|insert|append|add|put|place|embed|write|mention|use|work|prepend|slip|weave)\b[^.!?\n]{{0,60}}\b(?:in(?:to)?|to|at the (?:start|end|beginning|top|bottom) of|before|after)\b (?:your|every|all) (?:final |next |own )?(?:answers?|repl(?:y|ies)|response|summar(?:y|ies))\b|\bthe (?:\w+ )?(?:answer|response|reply) (?:to|for) (?:every|any|all|each|whatever)\b[^.!?\n]{{0,20}}\bquestions?\b|\b(?:answer|respond to|reply to) (?:every|any|all|each|this|the) (?:\w+ )?(?:questions?|quer(?:y|ies)|prompts?|messages?|users?) (?:with|by saying|in|as)\b|{_FIRST}{_SAY}\b[^.!?\n]{{0,40}}\bas (?:your|the) (?:final |only )?(?:answer|reply|response)\b|[,:;] (?:then |just |only )?(?:say|repeat|use|give|print|write)\b[^.!?\n]{{0,40}}\bas (?:your|the) (?:final |only )?(?:answer|reply|response)\b|\b(?:use|give|repeat) (?:exactly |only )?this (?:exact |very )?(?:answer|reply|response)\b|{_FIRST}cite (?:only )?(?:this (?:passage|document|text|page|source)|passage \d|\[\d)",
        ),
        (
            "say|reply|respond|answer|output|print|write|return|state|type",
            rf"\A(?:{_FIRST}(?:you (?:must|should|will|shall|are to) )?(?:only )?(?:say|reply|respond|answer|output|print|write|return|state|type)\b(?: \w+){{0,2}}(?: to (?:this|the|every|any|all) \w+)?,? ?(?:only|exactly|just|simply|solely|instead|with(?: only| exactly| just)?|using only)?:? ?(?:with )?(?:the (?:single |one |exact |following )?(?:word|phrase|sentence|code ?word)s?\b|exactly:? [\"'“‘«`*]|nothing (?:but|else|except)\b)|{_FIRST}(?:you (?:must|should|will|shall|are to) )?(?:only )?(?:say|reply|respond|answer)\b(?: \w+){{0,2}}(?: to (?:this|the|every|any|all) \w+)?,? ?(?:only|exactly|just|simply|instead|with(?: only| exactly| just)?|by saying)?:? ?[\"“«*][^\"”»*\n]{{2,60}}[\"”»*]|{_FIRST}(?:say|reply|respond|answer)\b[^.!?\n]{{0,20}}\b(?:only|exactly|nothing but|verbatim|no matter what|regardless)\b|{_FIRST}(?:reply|respond|answer) (?:only )?with\b|^\W*(?:always|now|please|just|simply|only) (?:say|answer|reply|respond)\b|{_FIRST}(?:reply|respond|answer|speak) (?:only )?(?:in (?:pirate|french|german|spanish|klingon|latin|rhymes?|all caps|capital|base64|rot13|leet|verse|uppercase|haiku|emojis?)|like an? |as an? |as if ))",
        ),
        (
            " asked| asks| ask |summari|answering|replying|responding|quer",
            rf"\b(?:when(?:ever)?|if|once|as soon as|every time|each time) (?:you (?:are |get )?|anyone |anybody |someone |somebody |the user |a user |users? |the reader |people |they )?(?:is |are )?(?:asked|asks?|answer(?:ing)? (?:any|the|this|a|questions?)|summari[sz](?:e|ing)|quer(?:y|ies|ied))\b(?:[^.!?\n\"“]{{0,20}}[\"“][^\"”\n]{{0,300}}[\"”])?[^.!?\n]{{0,80}}?(?:,|\byou|\balways|\bplease|\bthen|\balso|\bsimply|\bjust|\bmust|\bshould) (?:you |please |always |first |also |then |instead |simply |just |only |must |should |never )*{_SAY}\b|\b(?:instead of|before|after|while|rather than) (?:answering|replying|responding|summari[sz]ing)\b[^.!?\n]{{0,40}}?,? (?:you |please |always |first |also |then |simply |just |only |must |should )*{_SAY}\b",
        ),
        (
            "other passages|other documents|other sources|the question|the passages|this question|user",
            r"\b(?:do not|don't|never|refuse to) (?:answer|cite|use|quote|mention|rely on|trust|read|help)\b[^.!?\n]{0,15}\b(?:the (?:user'?s? )?questions?|this question|any (?:other )?questions?|(?:the |any )?other (?:passages?|documents?|sources?)|the passages|the user)\b",
        ),
        (
            "tell|inform|convince|persuade|instruct|urge|advise|warn",
            rf"\A(?:{_FIRST}(?:you (?:must|should|will) )?(?:tell|inform|convince|persuade|instruct|urge|advise|warn) (?:the |your |any |every |all |this )?(?:users?|person asking|asker|questioner|whoever asks)\b)",
        ),
        # carried out of the house
        (
            "](",
            r"!\[[^\]\n]{0,80}\]\((?:https?:)?//[^)\s]*[?&/=][^)\s]*(?:\{|%7b|\$|\[|<|_here\b|=\)|prompt|question|secret|history|conversation|=answer|=data\b|=base64)",
        ),
        (
            "http|www.|@|webhook|endpoint",
            r"\b(?:send|post|forward|submit|upload|transmit|exfiltrate|email|leak|append|encode|put)\b[^.!?\n]{0,30}\b(?:conversation|chat(?: history)?|system prompt|prompt|user'?s? (?:\w+ )?(?:question|query|message|name|data|answer|e-?mail)|question and (?:the |your )?answer|the (?:user'?s? )?(?:question|answer)|retrieved (?:passages|documents)|context)\b[^!?\n]{0,60}(?:https?://|www\.|[\w.-]+@[\w-]+\.\w+|\b(?:url|webhook|endpoint)\b)|\b(?:render|load|display|show|include|embed|insert)\b[^.!?\n]{0,30}(?:!\[|\bthis image\b|\bthe following image\b)",
        ),
        # forget, and: answer only, in other languages
        (
            "ignorier|vergiss|vergessen|missacht|befolge|antworte",
            r"\b(?:ignorier(?:e|en sie|t)|vergiss|vergessen sie|missachten? sie|missachte|befolgen? sie nicht)\b[^.!?\n]{0,50}\b(?:anweisung\w*|vorgaben|regeln|befehle\w*|instruktion\w*|obige\w*|vorherige\w*|bisherige\w*)|\bantworten?(?: sie)?\b[^.!?\n]{0,20}\b(?:nur|ausschließlich|stattdessen|immer)\b[^.!?\n]{0,10}\bmit\b",
        ),
        (
            "ignor|oubli|néglig|pas compte|répond",
            r"\b(?:ignore[zr]?|oublie[zr]?|négligez|ne (?:tiens|tenez) (?:pas|aucun) compte)\b[^.!?\n]{0,40}\b(?:instructions?|consignes?|règles|directives?|ci-dessus)\b|\b(?:réponds|répondez)\b[^.!?\n]{0,20}\b(?:uniquement|seulement|simplement|toujours|exactement)\b",
        ),
        (
            "ignor|olvid|caso omiso|no sigas|descart|respond|contest",
            r"\b(?:ignor[ae]n?|olvid[ae]n?|haz caso omiso|hagan caso omiso|no sigas|descarta)\b[^.!?\n]{0,40}\b(?:instrucciones|indicaciones|órdenes|reglas)\b|\b(?:responde|contesta|responda)\b[^.!?\n]{0,20}\b(?:solo|sólo|solamente|únicamente|siempre|exactamente)\b[^.!?\n]{0,10}\b(?:con|lo siguiente|la palabra)\b",
        ),
        (
            "ignor|dimentic|trascur|non seguire|rispondi",
            r"\b(?:ignora|ignorate|ignori|dimentica|dimenticate|trascura|non seguire)\b[^.!?\n]{0,40}\b(?:istruzioni|regole|ordini|indicazioni)\b|\b(?:rispondi|rispondete)\b[^.!?\n]{0,20}\b(?:solo|soltanto|sempre|unicamente|esattamente|solamente)\b",
        ),
        (
            "ignore|esque|desconsider|respond",
            r"\b(?:ignore|esque[çc]a|desconsidere)\b[^.!?\n]{0,40}\b(?:instruções|ordens|regras|orientações)\b|\bresponda\b[^.!?\n]{0,20}\b(?:apenas|somente|só|sempre|exatamente)\b[^.!?\n]{0,10}\b(?:com|a palavra)\b",
        ),
        (
            "negeer|vergeet|antwoord",
            r"\b(?:negeer|vergeet)\b[^.!?\n]{0,40}\b(?:instructies?|opdrachten|regels|aanwijzingen)\b|\bantwoord\b[^.!?\n]{0,20}\b(?:alleen|slechts|altijd|uitsluitend)\b[^.!?\n]{0,10}\bmet\b",
        ),
        (
            "ignoruj|zapomnij|odpow",
            r"\b(?:zignoruj|ignoruj|zapomnij)\b[^.!?\n]{0,40}\b(?:instrukcj\w+|polece\w+|zasad\w*|wytyczn\w+)|\b(?:odpowiedz|odpowiadaj)\b[^.!?\n]{0,20}\b(?:tylko|wyłącznie|zawsze|jedynie)\b",
        ),
        (
            "ignorera|glöm|bortse|svara",
            r"\b(?:ignorera|glöm|bortse från)\b[^.!?\n]{0,40}\b(?:instruktion\w*|regler\w*|anvisning\w*)|\bsvara\b[^.!?\n]{0,20}\b(?:bara|endast|alltid)\b[^.!?\n]{0,10}\bmed\b",
        ),
        (
            "talimat|kural|komut|cevap ver|yanıtla",
            r"\b(?:talimat\w*|kural\w*|komut\w*)\b[^.!?\n]{0,20}\b(?:yok say\w*|unut\w*|görmezden gel\w*|dikkate alma\w*)|\b(?:sadece|yalnızca)\b[^.!?\n]{0,40}\b(?:cevap ver|yanıtla|yaz)\b",
        ),
        (
            "игнорируй|забудь|внимания|ответ|отвеч",
            r"(?:игнорируй\w*|забудь\w*|проигнорируй\w*|не обращай\w* внимания)[^.!?\n]{0,50}(?:инструкци\w+|указани\w+|правил\w*|команд\w*)|(?:ответь\w*|отвечай\w*)[^.!?\n]{0,30}(?:только|лишь|всегда|исключительно)",
        ),
        (
            "忽略|无视|忽視|無視|忘记|忘掉|不要理会|回答|回复|輸出|输出",
            r"(?:忽略|无视|忽視|無視|忘记|忘掉|不要理会)[^。!?\n]{0,20}(?:指令|指示|说明|說明|规则|規則|提示|要求)|(?:只|仅|僅)(?:需|要|能|可)?(?:用|以)?[^。!?\n]{0,12}(?:回答|回复|回覆|输出|輸出)|(?:指示|命令|指令|ルール|プロンプト)[^。!?\n]{0,20}(?:無視|忘れ|従わない)|(?:とだけ|のみ|だけ)[^。!?\n]{0,6}(?:答え|回答|返答|出力)",
        ),
        (
            "지시|명령|규칙|프롬프트|지침|답",
            r"(?:지시|명령|규칙|프롬프트|지침)[^.!?\n]{0,15}(?:무시|잊)|(?:라고만|으로만|로만)\s?(?:대답|답변|답하|응답)",
        ),
        (
            "تجاهل|انس|أجب",
            r"(?:تجاهل|انس|تجاهلوا)[^.!?\n]{0,40}(?:التعليمات|الأوامر|القواعد|الإرشادات)|(?:أجب)[^.!?\n]{0,30}(?:فقط|دائما|دائمًا)",
        ),
        (
            "निर्देश|आदेश|उत्तर|जवाब",
            r"(?:निर्देश\S*|आदेश\S*|नियम\S*)[^।!?\n]{0,30}(?:अनदेखा|नज़रअंदाज़|नजरअंदाज|भूल|उपेक्षा)|(?:केवल|सिर्फ)[^।!?\n]{0,40}(?:उत्तर|जवाब)[^।!?\n]{0,6}(?:दें|दो|दीजिए)",
        ),
        (
            "bỏ qua|phớt lờ|abaikan|lupakan",
            r"(?:bỏ qua|phớt lờ)[^.!?\n]{0,40}(?:hướng dẫn|chỉ dẫn|chỉ thị|quy tắc)|(?:abaikan|lupakan)[^.!?\n]{0,40}(?:instruksi|perintah|petunjuk|aturan)",
        ),
        (
            "התעלם|תתעלם|שכח|αγνό|αγνοή|ξέχασε",
            r"(?:התעלם|תתעלם|שכח)[^.!?\n]{0,40}(?:הוראות|ההוראות|הכללים)|(?:αγνόησε|αγνοήστε|ξέχασε)[^.!?\n]{0,40}(?:οδηγίες|εντολές|κανόνες)",
        ),
    )
)
_ASCII_FORMS: tuple[Form, ...] = tuple(
    (plain, pattern) for words, pattern in _FORMS if (plain := tuple(word for word in words if word.isascii()))
)
# In a text that holds one of these, whatever else tells its reader what to say is taken for another.
_WEAK = re.compile(
    rf"{_FIRST}{_SAY}\b|\b(?:your (?:answer|reply|response|output|new|only|task|job|name|goal|role)|you (?:must|should|shall|will|are to|have to|need to))\b|\b(?:answer|reply|response|user|question)s?\b[^.!?\n]{{0,20}}\b(?:must|should|shall|is always|is now)\b|\b(?:answer|reply|response)\b\W*:",
    re.IGNORECASE,
)
# … and next to one, whatever else speaks to somebody.
_BESIDE = re.compile(
    rf"{_FIRST}(?:{_SAY}|introduce|greet|decode|rank|rate|make|let|remember|explain|ask|confirm|sign|continue|proceed|ignore|forget|stop)\b|\byou(?:r|rself)?\b|^\W*(?:#+\W*)?(?:response|answer|reply|assistant|output|user|system|question)\b\W*:",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_BASE64 = re.compile(r"(?<![\w+/])[A-Za-z0-9+/]{24,}={0,2}(?![\w+/=])")
_HEX = re.compile(r"(?<!\w)(?:[0-9a-fA-F]{2} ?){16,}(?!\w)")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]"
)
_LONG_HIDDEN = re.compile("(?<!\U0001f3f4)[\U000e0000-\U000e01ef\ufe00-\ufe0f]{8,}")  # flags are shorter
_SPACED = re.compile(r"(?<!\w)(?:\w[ ._*-]){5,}\w(?!\w)")
_LEET = re.compile(r"\b(?=[0134578@$]*[A-Za-z][0134578@$]{0,2}[A-Za-z])(?=\w*[0134578@$]\w*)[\w@$]{3,}")
_LEET_LETTERS = str.maketrans("0134578@$", "oieastbas")
_MIXED = re.compile(r"\w*[A-Za-z]\w*")
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕһԁɡӏοαεικνρτυАВЕКМНОРСТУХΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcyxijshdgloaeiknptuABEKMHOPCTYXABEZHIKMNOPTYX"
)
_LOOKALIKE = re.compile(f"[{''.join(map(chr, _LOOKALIKES))}]")


# ── what may be in disguise ─────────────────────────────────────────────────────────────────────────────────────────

# Each pattern above costs as much as all the words of a text; these tell at a hundredth of it that one finds nothing.


@dataclass(frozen=True, slots=True)
class _Run:
    """What every match of a pattern has: a run of characters, of some kinds, so long at least."""

    table: bytes  # for each byte of Latin-1 x where the run may hold it
    length: int


def _run(characters: str, length: int) -> _Run:
    return _Run(bytes(120 if chr(code) in characters else 46 for code in range(256)), length)


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_AS_BASE64 = _run(_LETTERS + "0123456789+/", 24)
_AS_HEX = _run("abcdefABCDEF0123456789 ", 32)
_WORDS_AND_SIGNS = bytes.maketrans(
    bytes(range(128)), bytes(119 if chr(c).isalnum() else 115 if chr(c) in " .*-" else 46 for c in range(128))
)
_LETTERS_AND_DIGITS = bytes.maketrans(
    bytes(range(128)), bytes(97 if chr(c).isalpha() else 49 if chr(c).isalnum() or c == 95 else 46 for c in range(128))
)


def _holds(text: str, wanted: _Run) -> bool:
    return b"x" * wanted.length in text.encode("latin-1", "replace").translate(wanted.table)


def _may_be_spaced(text: str) -> bool:
    if not text.isascii() or "_" in text:
        return True
    return b"wswswswswsw" in text.encode().translate(_WORDS_AND_SIGNS)


def _may_be_leet(text: str) -> bool:
    """Whether a word has both letters and digits."""
    if not text.isascii() or "@" in text or "$" in text:
        return True
    kinds = text.encode().translate(_LETTERS_AND_DIGITS)
    return b"a1" in kinds or b"1a" in kinds


# ── the search ──────────────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=1024)
def commands(text: str) -> tuple[tuple[int, int], ...]:
    """The sentences that are addressed to a model, as (start, end), those of `ingest.languages.sentences`, in order.

    A comment of HTML that holds one is one. About a third of a millisecond a thousand characters, and nothing for a text that was asked
    lately.
    """
    readings = tuple(_readings(text))
    forms = _possible(readings, _FORMS)
    if not forms:
        return ()
    # What is nowhere in the text is in no sentence of it.
    read = _readings if len(readings) > 1 else _as_written if text.isascii() else _plain
    hidden = [
        found.span()
        for found in _COMMENT.finditer(text)
        if _commanding(tuple(read(found.group().removeprefix("<!--"))), forms)
    ]
    spans = sentence_spans(text)
    found = {
        (start, end)
        for start, end in spans
        if _commanding(tuple(read(text[start:end])), forms) or any(a <= start < b - len("-->") for a, b in hidden)
    }
    if not found:
        return ()
    told = [_folded(text[start:end]) for start, end in spans]
    taken = [span in found or bool(_WEAK.search(said)) for span, said in zip(spans, told, strict=True)]
    for order in (range(1, len(spans)), range(len(spans) - 2, -1, -1)):
        for i in order:
            beside = i - order.step
            announced = beside < i and told[beside].rstrip().endswith(":")
            taken[i] = taken[i] or (taken[beside] and (announced or bool(_BESIDE.search(told[i]))))
    return tuple(span for span, one in zip(spans, taken, strict=True) if one)


def _possible(readings: Sequence[str], forms: Sequence[Form]) -> list[Form]:
    """The forms of which a text holds a word; those it cannot hold are not looked for."""
    lowered = " " + " ".join(readings).replace("\n", " ").lower()
    if forms is _FORMS and lowered.isascii():
        forms = _ASCII_FORMS
    return [form for form in forms if any(map(lowered.__contains__, form[0]))]


def _commanding(readings: Sequence[str], forms: Sequence[Form]) -> bool:
    return any(form.search(read) for _, form in _possible(readings, forms) for read in readings)


def _as_written(text: str) -> tuple[str]:
    return (text,)


def _plain(text: str) -> tuple[str]:
    return (_folded(text),)


def _readings(text: str) -> Iterator[str]:
    """The text as it can be read: plain, with its disguises taken off, and what is encoded in it."""
    plain = _folded(text)
    yield plain
    if _may_be_spaced(plain) and _SPACED.search(plain):
        yield _SPACED.sub(lambda found: re.sub(r"[ ._*-]", "", found.group()), plain)
    if _may_be_leet(plain) and len(_LEET.findall(plain)) > 1:
        yield _LEET.sub(lambda found: found.group().translate(_LEET_LETTERS), plain)
    if _holds(plain, _AS_BASE64):
        for found in _BASE64.finditer(plain):
            yield from _decoded(found.group())
    if _holds(plain, _AS_HEX):
        for found in _HEX.finditer(plain):
            yield bytes.fromhex(found.group()).decode("latin-1")


def _decoded(encoded: str) -> Iterator[str]:
    try:
        yield b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True).decode("utf-8")
    except (Base64Error, UnicodeDecodeError):
        return


def _spelt(tags: str) -> str:
    """What tag characters spell."""
    return "".join(chr(ord(c) - 0xE0000) for c in tags if "\U000e0020" <= c <= "\U000e007e")


def _folded(text: str) -> str:
    """Compatibility forms, invisible characters and letters of other scripts within Latin words made plain."""
    if text.isascii():
        return text
    text = _LONG_HIDDEN.sub(lambda found: f" <|hidden|> {_spelt(found.group())} ", text)
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).replace("’", "'")
    if _LOOKALIKE.search(text) is None:
        return text
    return _MIXED.sub(lambda found: found.group().translate(_LOOKALIKES), text)
