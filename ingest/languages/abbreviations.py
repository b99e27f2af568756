"""What ends with a full stop and yet ends no sentence, by language."""

from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FOLLOWED: Mapping[str, frozenset[str]] = {  # almost never the end of a sentence: more follows
    "en": _words("""
        dr mr mrs ms messrs prof st mt ft gen lt col sgt capt cpt cmdr adm maj rev hon sen rep gov pres supt vs v
        viz fig figs eq eqs ref refs tab sec sect ch chap vol vols pp p art nos approx ca cf e.g i.e eg ie resp incl
        var subsp ssp sp spp syn nov univ dept est jan feb mar apr jun jul aug sep sept oct dec ave blvd rd j biol
        chem natl acad sci proc commun res rel engl med int"""),
    "de": _words("""
        dr hr fr frau herr prof bzw z.b d.h u.a s.o s.u vgl ca evtl ggf inkl exkl sog st nr bd abb tab abs art jh
        jhd geb gest mio mrd max min jan feb mär apr jun jul aug sep sept okt nov dez bspw zzgl zz hrsg tel str allg
        engl lat griech frz ital kap bes ehem ing dipl rer phil med jur nat zit anm aufl ausg s z d u o i v n a h r
        w e t röm dt österr schweiz z.t i.d.r i.d u.ä o.ä v.a s.a ders dies ebd hl verh gegr entspr einschl abzgl
        mind"""),
    "fr": _words("m mm mme mlle dr prof st ste cf ex p.ex c.-à-d env av apr art chap fig no vol pp p éd"),
    "es": _words("sr sra srta dr dra prof d dña ud uds p.ej art cap fig núm vol pág págs aprox av"),
    "it": _words("""
        sig sigg sig.ra sig.na dott dott.ssa dr prof prof.ssa avv ing arch geom on rag mons p pp pag pagg art artt
        cap capp fig figg vol voll n nn es cfr ecc.mo ca circa tel v vs sec s ss gen feb mar apr giu lug ago set ott
        nov dic c.a p.es ed ediz a.c d.c lett num min max"""),
    "pt": _words("""
        sr sra srta sres dr dra prof profa eng arq d exmo exma p pp pág págs art arts cap fig figs vol vols n nº núm
        tel av r al pça ex p.ex cf ca aprox séc jan fev mar abr mai jun jul ago set out nov dez min máx ed gen cel"""),
    "nl": _words("""
        dhr mevr mw dr drs ir ing mr prof ds st nr nrs blz p pp art hfst fig afb tab bijv bv d.w.z m.b.t o.a i.v.m
        t.a.v z.o.z ca resp incl excl evt max min zgn vgl jl tel jan feb mrt apr jun jul aug sep sept okt nov dec h
        k red t.o.v n.a.v i.p.v m.i.v a.u.b m.n e.d"""),
    "sv": _words("""
        dr prof st nr s sid kap fig tab t.ex t ex bl.a bl dvs d.v.s ca resp inkl exkl f.d m.fl jfr jmf tel kl max
        min s.k jan feb mar apr jun jul aug sep sept okt nov dec"""),
    "da": _words("""
        dr prof hr fr st nr s kap fig tab f.eks bl.a bl dvs ca resp inkl ekskl mht jf tel kl maks min pga vedr evt
        jan feb mar apr jun jul aug sep sept okt nov dec"""),
    "no": _words("""
        dr prof st nr s kap fig tab f.eks bl.a bl dvs ca resp inkl ekskl mht jf tel kl maks min pga vedr evt jan feb
        mar apr jun jul aug sep sept okt nov des"""),
    "fi": _words("tri prof nro nr s ss kpl esim ks vrt ts ns mm ym n no klo puh t.s max min os"),
    "pl": _words("""
        dr prof mgr inż hab św ks p pp s str ul al pl os nr nry tab rys rozdz t tzw tzn np m.in in ok wg red por zob
        tel godz min maks r w im gen płk kpt sp o pt tj ang łac niem"""),
    "cs": _words("""
        dr prof doc ing mgr bc judr mudr phdr rndr sv p pí s str č čís obr tab kap např tj tzv tzn cca ul nám tel
        hod min max vyd red srov viz mj resp popř event zn st r"""),
    "sk": _words("""
        dr prof doc ing mgr bc sv p s str č čís obr tab kap napr t.j tj tzv cca ul nám tel hod min max vyd red porov
        resp príp r"""),
    "ro": _words("dl dna dra dr prof ing sf st nr pag p art cap fig vol str bd cca ex de.ex tel v op cit gen lt"),
    "hu": _words("dr prof ifj id özv szt st ún pl kb ill vö ld stb.pl sz old köt fej tel u ker max min"),
    "tr": _words("dr prof doç yrd av sn st no nr s sf ss bkz örn vb.gibi yy m.ö m.s cad sok mah tel alb gen org yard"),
    "ca": _words("sr sra srs dr dra prof d p pp pàg art cap fig núm vol av c pl tel aprox ex p.ex"),
    "el": _words("κ κα κκ δρ καθ αγ σελ σ αρ αριθ κεφ εικ πιν τομ π.χ χ π δηλ βλ πρβλ κ.λπ τηλ μ.χ χλμ λεωφ"),
    "id": _words("dr drs ir prof tn ny nn h hj no hal hlm jl kel kec kab tgl thn bpk dsb.nya yth a.n u.p"),
    "ru": _words("""
        т тт п пп с стр ст ч гл рис табл разд рус англ нем фр лат греч им ул пр просп пер пл д кв корп обл р-н н пос
        дер оз св проф акад доц канд инж зам гр г-н г-жа см ср напр т.е т.к т.н т.д.в тел мин макс руб коп тыс млн
        млрд ок около изд ред илл прим род ум"""),
    "uk": _words("""
        ст с стор п пп гл рис табл розд рос англ нім лат грец ім вул просп пров пл буд кв корп обл м с смт св проф
        акад доц канд інж зам див пор напр т.зв тел хв макс грн коп тис млн млрд бл вид ред нар пом"""),
    "bg": _words("т с стр ст ч гл фиг табл рус англ нем лат гр им ул бул пл св проф акад доц инж вж срв напр тел"),
    "ar": _words("د أ م ص ط ج ت هـ ق أ.د ق.م م.م ص.ب ت.د د.ك س ر.س"),
    "fa": _words("د ص ج ق.م ه.ق ه.ش م ر.ک ت"),
    "hi": _words("""
        डॉ डा श्री श्रीमती प्रो पं सं कु मो ई पृ क्र रु नं स्व सु ले कर्नल मेजर वि उ.प्र म.प्र ए बी सी डी एम के आर
        एस पी जे एन वी टी एल जी एच"""),
    "mr": _words("डॉ श्री श्रीमती प्रा पं सं पृ क्र रु इ स उदा कै ले वि"),
    "bn": _words("ড ডা মো মোঃ প্রফে অধ্যা খ্রি পৃ নং ইং বাং মি শ্রী"),
    "he": _words("ד״ר פרופ עמ מס ר מר גב אינג"),
}

EITHER: Mapping[str, frozenset[str]] = {  # may end one as well: it does when a word follows that begins sentences
    "": _words("""
        etc inc ltd co corp bros jr sr esq al a.m p.m am pm ph.d m.d b.a m.a b.c a.d d.c u.s u.k u.n"""),
    "de": _words("usw usf uvm u.v.m ff chr mbh"),
    "it": _words("ecc s.p.a s.r.l"),
    "pt": _words("ltda s.a"),
    "es": _words("ee.uu s.a"),
    "fr": _words("j.-c s.a"),
    "nl": _words("enz n.v b.v chr"),
    "sv": _words("osv m.m kr"),
    "da": _words("osv mv m.m kr"),
    "no": _words("osv mv m.m kr"),
    "pl": _words("itd itp zł n.e p.n.e"),
    "cs": _words("atd apod n.l kč"),
    "sk": _words("atď apod"),
    "hu": _words("stb ft"),
    "tr": _words("vb vd"),
    "ro": _words("etc lei"),
    "ru": _words("г гг в вв т.д т.п др пр э"),
    "uk": _words("р рр т.д т.п ін е"),
    "bg": _words("г гг в вв др"),
    "el": _words("κλπ κ.λπ κ.ά"),
}
