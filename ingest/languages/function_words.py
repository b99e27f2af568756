"""What every text of a language is full of and what says nothing of its subject."""

from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Articles, pronouns, prepositions, conjunctions, auxiliaries, question words: evidence of the language, no subject.
FUNCTION_WORDS: Mapping[str, frozenset[str]] = {
    "en": _words("""
        the of and to in is that it was for on are as with his they at be this from have or had by not but what all
        were we when your can said there an which their if will how them then these would other has been its who may
        into could only should do does about you her my our than where why while"""),
    "de": _words("""
        der die das den dem des ein eine einen einem einer eines und oder aber nicht ist sind war waren wird werden
        wurde wurden hat haben hatte kann können muss müssen soll sollte ich du er sie es wir ihr sich mich mir dir
        ihm ihn ihnen uns zu zum zur von vom mit bei beim auf aus an am im in für nach über unter durch um wenn als
        dass wie was wer wo wann warum welche welcher welches auch nur noch kein keine dieser diese dieses diesem so
        man sein seine ihre bis vor gegen ohne zwischen denn weil"""),
    "fr": _words("""
        le la les l un une des du de d et ou mais ne pas est sont était étaient sera être a ont avait avoir je j tu
        il elle nous vous ils elles on se s ce c cet cette ces mon ma mes son sa ses leur leurs notre votre qui que
        qu quoi dont où quand comment pourquoi quel quelle quels quelles à au aux en dans par pour sur sous avec
        sans entre vers chez plus si comme lors y n peut doit fait"""),
    "es": _words("""
        el la los las lo un una unos unas de del al a y e o u pero no es son era eran ser está están fue fueron ha
        han había hay yo tú él ella nosotros ellos ellas usted se me te le les nos su sus mi mis este esta estos
        estas ese esa que qué quién quien cuál cual cuáles dónde donde cuándo cuando cómo como por para con sin en
        entre sobre hasta desde si ya más muy también puede debe"""),
    "it": _words("""
        il lo la i gli le l un uno una di del dello della dei degli delle d da dal dalla dai dalle a al allo alla ai
        alle in nel nella nei nelle con su sul sulla sui per tra fra e ed o ma non è sono era erano essere ha hanno
        aveva io tu lui lei noi voi loro si mi ti ci vi ne suo sua suoi mio questo questa questi queste quello
        quella che chi cui quale quali dove quando come perché cosa se più anche può deve viene"""),
    "pt": _words("""
        o a os as um uma uns umas de do da dos das dum em no na nos nas num numa por pelo pela pelos pelas para com
        sem sob sobre entre até e ou mas não é são era eram ser está estão foi foram há tem têm tinha eu tu ele ela
        nós eles elas você se me te lhe seu sua seus suas meu este esta estes estas esse essa isso que quem qual
        quais onde quando como porque ao à aos às se já mais muito também pode deve"""),
    "nl": _words("""
        de het een en of maar niet is zijn was waren wordt worden werd werden heeft hebben had kan kunnen moet
        moeten zal zullen ik jij je hij zij ze wij we jullie u hem haar hun ons zich mijn uw deze dit die dat wie
        wat waar wanneer waarom hoe welke van voor met op in aan uit bij naar over onder door om te tot als dan dus
        ook nog geen er door tussen tegen zonder omdat"""),
    "ca": _words("""
        el la els les l un una uns unes de del dels d al als a i o però no és són era eren ser està estan ha han
        havia hi jo tu ell ella nosaltres vosaltres ells elles es s em et ens us li seu seva seus seves aquest
        aquesta aquests aquestes això que què qui quin quina quins on quan com per pel pels perquè amb sense en
        entre sobre fins des si ja més molt també pot cal ho va"""),
    "gl": _words("""
        o a os as un unha uns unhas de do da dos das en no na nos nas por polo pola para con sen sobre entre ata e
        ou pero non é son era eran ser está están foi ten hai eu ti el ela nós eles elas se me lle seu súa seus este
        esta estes isto que quen cal cales onde cando como ao á aos ás máis moi tamén pode debe"""),
    "da": _words("""
        og i at det er en et den til af for på med som de der han hun ikke har var kan skal vil blive bliver blev
        jeg du vi dem sig sin sit sine min din hans hendes deres men eller om når hvis hvad hvem hvor hvordan
        hvorfor hvilken fra ved efter under over mellem også kun ud op ind denne dette disse være været må nogle
        ingen uden mod"""),
    "sv": _words("""
        och i att det är en ett den till av för på med som de der han hon inte har var kan ska skall vill bli blir
        blev jag du vi dem sig sin sitt sina min din hans hennes deras men eller om när vad vem var hur varför
        vilken vilket från vid efter under över mellan också bara ut upp in denna detta dessa vara varit måste några
        ingen utan mot kommer"""),
    "no": _words("""
        og i at det er en et ei den til av for på med som de han hun ikke har var kan skal vil bli blir ble jeg du
        vi dem seg sin sitt sine min din hans hennes deres men eller om når hvis hva hvem hvor hvordan hvorfor
        hvilken fra ved etter under over mellom også bare ut opp inn denne dette disse være vært må noen ingen uten
        mot"""),
    "is": _words("""
        og að í á er sem um til af fyrir með við ekki var það hann hún þeir þær þau ég þú við en eða ef þegar hvað
        hver hvar hvernig frá eftir undir yfir milli einnig verður voru eru hefur hafa þessi þetta þess sig sér sinn
        úr upp"""),
    "fi": _words("""
        ja on ei että se hän ne he minä sinä me te oli olivat ovat olla ole mutta tai vai kun jos niin kuin myös
        mitä mikä kuka missä milloin miksi miten joka jotka jonka joita tämä tämän tässä tuo nämä niiden sen siitä
        siinä sitä voi voidaan pitää ennen jälkeen kanssa ilman mukaan vain vielä ole eivät en"""),
    "et": _words("""
        ja on ei et see ta nad ma sa me te oli olid olla ole aga või kui siis nagu ka mis kes kus millal miks kuidas
        mille mida selle seda need nende tema oma saab peab enne pärast koos ilma järgi ainult veel ega pole kõik
        üle all vahel"""),
    "hu": _words("""
        a az és egy nem hogy is ez azt ezt van volt vannak voltak lesz lehet kell de vagy ha mert mint csak még már
        meg el ki fel le be én te ő mi ti ők aki ami amely amelyek mit mi hol mikor miért hogyan milyen melyik
        minden ezek azok ennek annak után előtt alatt között szerint nélkül sem"""),
    "ro": _words("""
        și în de la cu pe din pentru că nu este sunt era erau fi fost a au al ai ale o un unei unui unor eu tu el ea
        noi voi ei ele se își lui lor său sa care ce cine unde când cum dar sau dacă mai ca prin între după până
        fără către această acest acestea acesta poate trebuie"""),
    "tr": _words("""
        ve bir bu da de için ile ne mi mu değil olarak olan var yok daha çok gibi kadar sonra önce ancak ama veya ya
        ki o ben sen biz siz onlar onun bunun şu her hiç hangi nasıl neden nerede kim ise en tarafından göre eğer
        olduğu olur edilir üzerinde"""),
    "id": _words("""
        yang dan di ke dari untuk dengan pada adalah ini itu tidak akan telah dapat bisa oleh dalam atau tetapi juga
        saya anda kami kita dia ia mereka apa siapa mana kapan mengapa bagaimana jika karena sebagai seperti lebih
        sudah belum harus ada bukan antara sebuah para setelah sebelum hanya saat"""),
    "ms": _words("""
        yang dan di ke dari untuk dengan pada adalah ini itu tidak akan telah boleh oleh dalam atau tetapi juga saya
        anda kami kita dia mereka apa siapa mana bila mengapa bagaimana jika kerana sebagai seperti lebih sudah
        belum perlu ada bukan antara sebuah ialah iaitu daripada kepada hanya"""),
    "eu": _words("""
        eta da ez du bat dira zen ziren izan dute dut den duen diren dela edo baina ere hau hori hura hauek horiek
        nor zer non noiz zergatik nola zein baino bere bezala arte gabe behar dago daude egin ditu ditzake daiteke
        zuen nahi guztiak oso gainean"""),
    "ga": _words("""
        an na agus a is i ar le do de go ní bhí tá nach atá bhfuil raibh seo sin sé sí siad mé tú muid é í iad ach
        nó má mar ón ag as faoi chuig gan idir cad cé cá conas nuair cathain bhí bheith leis leo san sa sna den don"""),
    "cy": _words("""
        y yr a ac ei i yn o ar mae oedd yw ydy nid ddim am gan wrth ond neu os fel mewn bod wedi eu hyn hwn honno hi
        ef nhw chi ni beth pwy ble pryd pam sut dros rhwng heb dan yng at bydd gyda hefyd cael gall rhaid"""),
    "lt": _words("""
        ir yra į iš su kad ne tai kaip bet ar jo jos jų jis ji jie mes aš tu buvo bus būti nuo iki per po prie už
        apie tik dar jau kas kur kada kodėl kuris kuri kurie kai jei arba šis ši šie tas ta gali reikia nėra taip
        pat savo"""),
    "lv": _words("""
        un ir uz no ar ka ne tas tā kā bet vai viņš viņa viņi mēs es tu bija būs būt līdz par pie pēc tikai vēl jau
        kas kur kad kāpēc kurš kura kuri ja šis šī šie to tiek var nav arī savu lai pirms starp bez visi"""),
    "pl": _words("""
        i w na z ze do nie się to jest są był była było być że jak a o ale lub czy po od za dla przez przy co kto
        gdzie kiedy dlaczego który która które których jego jej ich on ona oni my ja ty tego ten ta te tylko już
        jeszcze może można także oraz pod nad bez między tym jako został jeśli"""),
    "cs": _words("""
        a v na z ze do ne se to je jsou byl byla bylo být že jak o ale nebo po od za pro přes při co kdo kde kdy
        proč který která které kterých jeho její jejich on ona oni my já ty toho ten ta tyto pouze již ještě může
        lze také pod nad bez mezi tím jako není jsem pokud si"""),
    "sk": _words("""
        a v na z zo do nie sa to je sú bol bola bolo byť že ako o ale alebo po od za pre cez pri čo kto kde kedy
        prečo ktorý ktorá ktoré ktorých jeho jej ich on ona oni my ja ty toho ten tá tieto iba už ešte môže možno
        tiež pod nad bez medzi tým nie som ak si"""),
    "sl": _words("""
        in v na z s iz do ne se to je so bil bila bilo biti da kot o ali pa po od za pri kaj kdo kje kdaj zakaj ki
        kateri katera njegov njen njihov on ona oni mi jaz ti tega ta te samo že še lahko tudi pod nad brez med ni
        če ga jih ter"""),
    "hr": _words("""
        i u na s sa iz do ne se to je su bio bila bilo biti da kao o ali ili po od za pri što tko gdje kada zašto
        koji koja koje kojih njegov njen njihov on ona oni mi ja ti toga ovaj ova te samo već još može također pod
        nad bez između nije ako ga ih te će"""),
    "sq": _words("""
        dhe në e të i me për nga një që është janë ishte nuk si se por ose ky kjo ata ajo unë ti ne ju çfarë kush ku
        kur pse cili mund duhet nëse edhe më pas mbi nën pa ndër deri do ka kanë u"""),
    "af": _words("""
        die en in van is het nie te dat vir op met wat word was as hy sy dit ons hulle ek jy n aan by om uit deur
        maar of kan moet sal sou is wees gewees hierdie daar waar wanneer hoekom hoe watter ook net nog geen tussen
        teen sonder omdat"""),
    "vi": _words("""
        và của là có cho không được các một những trong với này đó khi đã sẽ để người từ về như cũng nhưng hoặc nếu
        tại vì bởi ở ra lên vào nào gì ai đâu tôi bạn chúng họ nó phải thể rằng trên dưới sau trước giữa đến"""),
    "eo": _words("""
        la kaj de en estas ne al por kiu kiuj kiel ke ĉu sed aŭ se mi vi li ŝi ĝi ni ili tio tiu ĉi kun sen sur sub
        pri per post antaŭ inter estis estos kio kie kiam kial pli nur ankaŭ povas devas el ol"""),
    "sw": _words("""
        na ya wa kwa ni katika la za cha kuwa hii hiyo huo hizo au lakini kama si yake wake wao sisi mimi wewe yeye
        nini nani wapi lini kwani vipi ambayo ambao pia tu baada kabla bila kati hata hadi ili ina"""),
    "tl": _words("""
        ang ng sa na mga ay at ito si ni kay hindi para may mayroon ako ikaw siya kami tayo sila namin nila niya ko
        mo ano sino saan kailan bakit paano kung dahil pero o kapag din rin lamang pa ba upang mula"""),
    "ru": _words("""
        и в во не что он на я с со как а то все она так его но ты к у же вы за бы по только ее мне было вот от меня
        еще нет о из ему когда или если для это этот эта эти этого быть был была были есть при до под над между
        который которая которые которых кто где куда зачем почему чтобы также их они мы она может без"""),
    "uk": _words("""
        і в у не що він на я з із зі як а то все вона так його але ти до же ви за би по тільки її мені було від ще
        ні о коли або якщо для це цей ця ці цього бути був була були є при під над між який яка які яких хто де куди
        чому щоб також їх вони ми може без та й"""),
    "be": _words("""
        і ў у не што ён на я з як а то ўсё яна так яго але ты да жа вы за бы па толькі яе было ад яшчэ калі або калі
        для гэта гэты гэтага быць быў была былі ёсць пры пад над паміж які якая якія хто дзе куды чаму каб таксама
        іх яны мы можа без"""),
    "bg": _words("""
        и в във не че той на аз с със как а то всичко тя така го но ти до за би по само ѝ беше от още или ако е са
        ще да се си този тази тези това бъде бил била били при под над между който която които кой къде кога защо
        също им те ние може без към като"""),
    "sr": _words("""
        и у на с са из до не се то је су био била било бити да као о али или по од за при што ко где када зашто који
        која које којих његов њен њихов он она они ми ја ти тога овај ова те само већ још може такође под над без
        између није ако га их ће"""),
    "mk": _words("""
        и во на со од до не се тоа е се беше биде да како за но или по при што кој каде кога зошто која кое кои
        негов нејзин нивен тој таа тие ние јас ти овој оваа само веќе уште може исто под над без помеѓу ако го ги
        ќе"""),
    "ar": _words("""
        في من على إلى عن مع أن إن هذا هذه ذلك تلك التي الذي الذين ما لا لم لن هو هي هم نحن أنا أنت كان كانت يكون
        تكون كما أو ثم بين بعد قبل عند كل غير قد حتى إذا كيف متى أين لماذا ماذا أي هل منذ خلال حول وهو وهي وقد به
        بها له لها فيه فيها"""),
    "fa": _words("""
        و در به از که این است را با برای آن می یک های شود شده ها تا بر هم یا اما اگر نیز باید خود کند کرد بود شد نمی
        دارد دارند هر چه چرا چگونه کجا کی کدام ما شما او آنها من پس بین بدون روی"""),
    "ur": _words("""
        کے کی کا ہے میں سے اور کو یہ ہیں نے پر کہ ایک وہ اس جو تھا تھی تھے کیا نہیں بھی تو ان کر ہو اپنے لیے کے ساتھ
        یا اگر جب کہاں کیوں کیسے کون ہم آپ میں بعد درمیان بغیر"""),
    "hi": _words("""
        के का की है में से को और यह हैं ने पर कि एक वह इस जो था थी थे क्या नहीं भी तो उन कर हो अपने लिए साथ या अगर
        जब कहाँ कहां क्यों कैसे कौन हम आप मैं ये वे उस इन इसे उसे तक ही कब किस जिस बाद बीच बिना रहा रही रहे गया गई
        गए होता होती होते किया करने करता करते हुए"""),
    "mr": _words("""
        आहे आणि या ते हे ही हा तो ती व एक नाही आहेत होते होता होती की च मध्ये साठी पासून वर काय कोण कुठे का कसे कधी
        मी तू आम्ही तुम्ही त्या त्यांनी त्याचे त्यांच्या असे असा आपण जे जो पण किंवा जर तर केले केली करण्यात येते
        झाले झाली नंतर"""),
    "ne": _words("""
        छ छन् र को मा का की लाई ले यो त्यो थियो थिए हो होइन पनि गर्न गर्ने भएको भने एक वा तर यदि जब के कहाँ किन कसरी
        को म तपाईं हामी उनी उनले यस त्यस देखि सम्म बाट गरेको हुन्छ गर्छ अनि तथा लागि"""),
    "ta": _words("""
        இந்த அந்த ஒரு என்று மற்றும் இது அது இருந்து என்ற உள்ள உள்ளது என ஆகும் அவர் அவர்கள் நான் நாம் நீங்கள் என்ன
        யார் எங்கே எப்போது ஏன் எப்படி அல்லது ஆனால் போல் வரை மூலம் கொண்டு வேண்டும் இல்லை"""),
    "el": _words("""
        ο η το οι τα του της των τον την στο στη στον στην στα στις και να είναι ήταν θα δεν με σε για από που πως
        ότι αν ή αλλά ένα μια ένας αυτό αυτή αυτός αυτά εγώ εσύ εμείς τι ποιος ποια πού πότε γιατί κατά μετά πριν
        χωρίς μεταξύ προς έχει έχουν"""),
    "hy": _words("""
        և է են եմ որ այս այդ մի ու նա նրա նրանք մենք դուք ես դու համար հետ մեջ վրա կամ բայց եթե երբ որտեղ ինչ ով
        ինչու ինչպես եղել էր էին չի նաև որը որոնք ից"""),
    "he": _words("""
        של את על לא עם הוא היא זה זו כי או אם גם אל אני אתה הם הן יש אין כל מה מי איך מתי איפה למה אשר בין כדי אבל
        רק עוד היה היו יותר לפי אחר לאחר עד כמו ידי ניתן"""),
    "yi": _words("""
        דער די דאָס און איז אין פֿון צו מיט אויף ניט נישט אַ אַן זיך האָט האָבן ער זי עס מיר איר איך וואָס ווי ווער
        וווּ ווען אָבער אָדער אויב פֿאַר ביי"""),
}  # fmt: skip

# English words that begin sentences: besides the others, words of order and the heads of abstracts.
STARTERS = _words("""
    a an the this that these those it its he she they we you i his her their our my in on at by for from with as
    if when while where after before since because although though however but and or so thus therefore then
    there here who what why how which is are was were do does did can could will would should may might must not
    no all some many most each every both one two three to of during under over about against between among
    through also moreover furthermore meanwhile instead finally first second third next such another other
    results methods conclusions conclusion background objective objectives
""")
